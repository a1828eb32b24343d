"""Comparing the record of a review with what Temporal has of it.

Two looks at different times are compared with each other before anything counts as a difference: what only one of them
shows was on its way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from domain.discrepancies import Difference, Differs
from domain.review import state_digest
from domain.values import Digest, Value
from domain.verification import Verification


class Sighting(Value):
    """What Temporal has under the id of a review's workflow, in its latest `run`.

    `how` is how one that `ended` did. It is not `ours` if it is no review's workflow, or nobody of ours works on it.
    `reset` says whether this run is what an earlier one was reset to.
    """

    status: Literal["running", "ended", "nothing"]
    how: str | None = None
    run: str | None = None
    ours: bool = True
    reset: bool = False

    @property
    def runs(self) -> bool:
        """Whether the review's own workflow runs."""
        return self.status == "running" and self.ours


class Word(Value):
    """What the workflow itself says, and how many signals are in the history of its run.

    `chain` is the first run of its present history; `signals` how many it was handed in all of that, `unsettled` how
    many of them it has not settled yet; `in_history` how many the history holds.
    """

    run: str
    chain: str
    seq: int
    state_digest: Digest
    signals: int
    unsettled: int = 0
    in_history: int


class Known(Value):
    """What was known of a review's workflow when it was last compared."""

    run: str | None = None
    chain: str | None = None
    seq: int = 0
    signals: int = 0


@dataclass(frozen=True)
class Look:
    """One look at a review. `record` is the check of its record by itself, None if there is no such review; `expected`
    says whether it was submitted long enough ago to have a workflow. `word` is None if the workflow did not answer. `rows`
    is the digest of the read model's rows as they were then.
    """

    record: Verification | None
    expected: bool
    sighting: Sighting
    word: Word | None
    rows: Digest | None = None

    def expecting(self) -> Look:
        """The same look, at a review that is expected to have a workflow, however young it is."""
        return replace(self, expected=True)


def confirmed(first: Look, second: Look, known: Known) -> tuple[Difference, ...]:
    """What differs at the second look and did at the first."""
    before = {(difference.what, difference.run) for difference in differences(first, known)}
    same = tuple(d for d in differences(second, known) if (d.what, d.run) in before)
    if not _moved(first, second):
        return same
    return tuple(difference for difference in same if difference.what not in (Differs.BEHIND, Differs.UNACCOUNTED))


def differences(look: Look, known: Known) -> tuple[Difference, ...]:
    """What differs at this look, as far as one look can tell."""
    return tuple(_of_the_record(look)) + tuple(_of_the_workflow(look, known))


def _moved(first: Look, second: Look) -> bool:
    """Whether the workflow went on between the two looks, as one does that is only slow."""
    if first.word is None or second.word is None:
        return False
    return (first.word.seq, first.word.unsettled) != (second.word.seq, second.word.unsettled)


def _of_the_record(look: Look) -> Iterable[Difference]:
    if look.record is not None and look.record.difference is not None:
        yield Difference(what=Differs.RECORD, detail=_sentence(look.record.difference))


def _of_the_workflow(look: Look, known: Known) -> Iterable[Difference]:
    sighting = look.sighting
    if look.record is None:
        if sighting.runs:
            yield Difference(what=Differs.RUNS_ON, run=sighting.run, detail="There is no review with this id.")
        return
    review = look.record.review
    if review.closed:
        if sighting.runs:
            detail = f"The review is closed: {review.outcome}."
            yield Difference(what=Differs.RUNS_ON, run=sighting.run, detail=detail)
        return
    if not (look.expected or review.seq):
        return
    if not sighting.runs:
        yield _missing(sighting)
    elif look.word is None:
        yield Difference(what=Differs.SILENT, run=sighting.run, detail="It gave no answer in time that can be read.")
    else:
        yield from _told(look.record, sighting, look.word, known)


def _missing(sighting: Sighting) -> Difference:
    if sighting.status == "running":
        return Difference(what=Differs.TAKEN, run=sighting.run, detail="What runs under its id is not of our making.")
    if sighting.status == "nothing":
        return Difference(what=Differs.LOST, detail="Temporal knows no workflow of this review.")
    return Difference(what=Differs.LOST, run=sighting.run, detail=f"Its last run is {sighting.how}.")


def _told(record: Verification, sighting: Sighting, word: Word, known: Known) -> Iterable[Difference]:
    """What differs between the record and what the workflow says. Where the record does not hold, it is no measure."""
    seen = f"it has seen {word.seq} of {record.entries} entries"
    back = word.chain == known.chain and (word.seq < known.seq or word.signals < known.signals)
    forgotten = word.in_history < word.signals  # a worker may remember more than Temporal does
    if (sighting.reset and sighting.run != known.run) or back or forgotten:
        yield Difference(what=Differs.SET_BACK, run=word.run, detail=f"It was set back: {seen}.")
    elif word.seq < record.entries and not word.unsettled and record.holds:
        yield Difference(what=Differs.BEHIND, run=word.run, detail=f"Nothing is on its way to it, and {seen}.")
    if word.in_history > word.signals:
        detail = f"Of {word.in_history} signals in its history, {word.signals} were handed to it."
        yield Difference(what=Differs.UNACCOUNTED, run=word.run, detail=detail)
    elif word.unsettled:
        yield Difference(what=Differs.UNACCOUNTED, run=word.run, detail=f"{word.unsettled} signals wait, and {seen}.")
    if word.seq > record.entries and record.holds:
        yield Difference(what=Differs.AHEAD, run=word.run, detail=_sentence(seen))
    if word.seq == record.entries and record.holds and word.state_digest != state_digest(record.review):
        detail = "Its state is another than the fold of the same entries."
        yield Difference(what=Differs.DIVERGED, run=word.run, detail=detail)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
