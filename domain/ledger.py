"""The ledger of one review: entries chained over their stored bytes.

An entry's bytes are the canonical JSON of `Entry`; its hash is their SHA-256. Each entry holds the hash of the one
before, so the last hash answers for them all.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.canonical import canonical_bytes, sha256
from domain.events import Accepted, Event, Refused
from domain.values import DecisionId, Digest, ReviewId, Value

GENESIS: Digest = "0" * 64
"""What stands before the first entry."""


class Entry(Value):
    """One entry: what happened, its number in the review, and the hash of the entry before."""

    review: ReviewId
    seq: int
    previous: Digest
    event: Event


class Recorded(Value):
    """An entry as stored: its exact bytes, as text, and their hash."""

    seq: int
    data: str
    hash: Digest


def append(review_id: ReviewId, seq: int, previous: Digest, events: Sequence[Event]) -> tuple[Recorded, ...]:
    """The stored form of `events` after entry number `seq`, whose hash is `previous`."""
    recorded: list[Recorded] = []
    for event in events:
        seq += 1
        data = canonical_bytes(Entry(review=review_id, seq=seq, previous=previous, event=event))
        previous = sha256(data)
        recorded.append(Recorded(seq=seq, data=data.decode(), hash=previous))
    return tuple(recorded)


def settles(event: Event) -> DecisionId | None:
    """The stored decision that this entry accepts or refuses, if it does: each is settled once."""
    match event:
        case Accepted(envelope=envelope):
            return envelope.decision_id
        case Refused(ordinal=None, decision=decision):
            return decision
        case _:
            return None
