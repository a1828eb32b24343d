"""The ledger of one review: entries chained over their stored bytes.

An entry's bytes are the canonical JSON of `Entry`; its hash is their SHA-256. Each entry holds the hash of the one
before, so the last hash answers for them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

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
    """An entry as stored: its exact bytes, as text, and what is stored as their hash."""

    seq: int
    data: str
    hash: str


def append(review_id: ReviewId, seq: int, previous: Digest, events: Sequence[Event]) -> tuple[Recorded, ...]:
    """The stored form of `events` after entry number `seq`, whose hash is `previous`."""
    recorded: list[Recorded] = []
    for event in events:
        seq += 1
        data = canonical_bytes(Entry(review=review_id, seq=seq, previous=previous, event=event))
        previous = sha256(data)
        recorded.append(Recorded(seq=seq, data=data.decode(), hash=previous))
    return tuple(recorded)


class Settlement(Value):
    """What became of a stored decision: what its maker's receipt says. `seq` is the entry that says so."""

    decision: DecisionId
    status: str
    reason: str | None
    detail: str | None
    seq: int | None
    at: datetime | None


def settlement(seq: int, event: Event) -> Settlement | None:
    """What entry number `seq` says became of a stored decision, if it accepts or refuses one: each is settled once."""
    match event:
        case Accepted(envelope=envelope, at=at):
            return Settlement(
                decision=envelope.decision_id, status="accepted", reason=None, detail=None, seq=seq, at=at
            )
        case Refused(ordinal=None, decision=UUID() as decision, reason=reason, detail=detail, at=at):
            return Settlement(decision=decision, status="refused", reason=reason, detail=detail, seq=seq, at=at)
        case _:
            return None


def settles(event: Event) -> DecisionId | None:
    """The stored decision that this entry accepts or refuses, if it does."""
    settled = settlement(0, event)
    return None if settled is None else settled.decision
