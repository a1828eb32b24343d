"""From one revision of a proposal to the next: what changed, and what somebody is told who was shown an older one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import JsonValue

from domain.canonical import canonical_bytes
from domain.decisions import Envelope
from domain.problems import pointer_to
from domain.proposal import Proposal
from domain.state import Review, Revised
from domain.values import Digest

MOST_CHANGES = 50
"""Where more places than this have changed, only the parts of the proposal are named that they stand in."""

MOST_NAMED = 10
"""A sentence names so many places at most, and counts the others."""

REMEMBERED = 50
"""The latest revisions are remembered with what changed in them; that somebody decides on an older one is rare enough."""

Path = tuple[str | int, ...]


def changes(old: Proposal, new: Proposal) -> tuple[str, ...]:
    """What differs between two texts of a proposal: JSON pointers, in the order of the canonical document.

    They go as deep as the two have the same shape: to one answer, to what one customer does with it. What has become
    more or fewer entries is named as a whole. Empty if, and only if, the texts have the same content digest.
    """
    found = list(_differences((), old.model_dump(mode="json"), new.model_dump(mode="json")))
    if len(found) > MOST_CHANGES:
        found = list(dict.fromkeys(path[:1] for path in found))
    return tuple(pointer_to(*path) for path in found)


def remembered(review: Review, revised: Revised) -> tuple[Revised, ...]:
    """The latest revisions, this one among them."""
    return (*review.revisions, revised)[-REMEMBERED:]


def stale(review: Review, envelope: Envelope) -> str:
    """What somebody is told who decided on another text than the present one: what they were shown, and what changed
    since.
    """
    now = f"the proposal is now at revision {review.revision} ({review.content_digest[:12]})"
    shown = _shown(review, envelope.content_digest, envelope.revision)
    if shown is None:
        return f"You were shown {envelope.content_digest[:12]}, and {now}."
    since = [pointer for each in review.revisions if each.number > shown.number for pointer in each.changes]
    return f"You were shown revision {shown.number} ({shown.digest[:12]}), and {now}. Changed since: {named(since)}."


def named(pointers: Iterable[str]) -> str:
    """These places in a sentence: each once, and none that stands in another of them."""
    places = dict.fromkeys(pointers)
    outer = [place for place in places if not any(place.startswith(f"{other}/") for other in places)]
    more = len(outer) - MOST_NAMED
    return ", ".join(outer[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "") or "nothing"


def _shown(review: Review, digest: Digest, number: int) -> Revised | None:
    """The revision that was shown; the latest with this text, where the envelope does not say which."""
    fitting = [each for each in review.revisions if each.digest == digest]
    return next((each for each in fitting if each.number == number), fitting[-1] if fitting else None)


def _differences(path: Path, old: JsonValue, new: JsonValue) -> Iterator[Path]:
    match old, new:
        case dict(), dict():
            for key in sorted(old.keys() | new.keys()):
                if key in old and key in new:
                    yield from _differences((*path, key), old[key], new[key])
                else:
                    yield (*path, key)
        case list(), list() if len(old) == len(new) and all(isinstance(entry, dict) for entry in (*old, *new)):
            for at, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _differences((*path, at), one, other)
        case _ if canonical_bytes(old) != canonical_bytes(new):  # to Python, true is 1
            yield path
        case _:
            pass
