"""What the API may answer: at some moment between question and answer, the model must have said so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from api.schemas import AnyDecisionIn, DecisionIn
from domain.access import may_read
from domain.decisions import Envelope
from domain.drafts import Draft, seal
from domain.events import Event
from domain.facts import Standing
from domain.registry import Registry
from domain.review import evolve
from domain.state import Review
from domain.step_up import is_required
from tests.support.oracle import Past, Stored, standing

_DECISION: TypeAdapter[DecisionIn] = TypeAdapter(AnyDecisionIn)


@dataclass(frozen=True)
class Asked:
    """A decision as it was sent, and what came back.

    `seen` is the last entry of the ledger, and `registry` of the registry, that was known to be there before; `first` says
    whether nothing was ever sent with its id before it began, `other` whether something else was, before it ended.
    """

    id: UUID
    review: str
    person: str
    body: Mapping[str, Any]
    start: datetime
    end: datetime
    seen: int
    registry: int
    status: int
    said: Mapping[str, Any]
    first: bool
    other: bool
    malformed: bool

    @property
    def draft(self) -> Draft:
        """What was said, as the API understands it."""
        said: DecisionIn = _DECISION.validate_json(json.dumps(self.body))
        return said.draft(self.review, self.id, self.person)

    @property
    def reason(self) -> str | None:
        """Why it was not taken."""
        reason: str | None = self.said.get("reason")
        return reason


class Answers:
    """Checks answers against the ledgers, by review, and the registers as they were."""

    def __init__(self, ledgers: Mapping[str, Sequence[Event]], past: Past, asked: Sequence[Asked]) -> None:
        self._ledgers = ledgers
        self._past = past
        self._asked = asked
        self._folds: dict[str, list[Review]] = {}

    def wrong(self) -> list[str]:
        """The answers that no moment explains."""
        said = ((asked, self._problem(asked)) for asked in self._asked)
        return [
            f"{asked.review}: {asked.status} {asked.reason} to {asked.body.get('kind')} of {asked.person}: {problem}"
            for asked, problem in said
            if problem is not None
        ]

    def _problem(self, asked: Asked) -> str | None:
        registries = [
            self._past.registry_after(seq)
            for seq in range(asked.registry, self._past.between(asked.end, asked.end).start + 1)
        ]
        disabled = [asked.person in registry.disabled for registry in registries]
        if (asked.status, asked.reason) == (403, "disabled"):
            return None if any(disabled) else "they were not disabled"
        if all(disabled):
            return "they were disabled"
        if asked.malformed or asked.status == 422:
            return None if asked.malformed and asked.status == 422 else "it was not said well, or 422 is wrong"
        match asked.status, asked.reason:
            case 409, "id_reused":
                return None if asked.other else "nothing else was ever said with this id"
            case 409, "pending":
                return None if self._another_is_pending(asked) else "nothing else of theirs was pending"
            case ((200 | 202 | 409), _):
                return self._not_as_stored(asked, registries)
        moments = [(review, held) for review in self._reviews(asked) for held in _held(asked, registries)]
        match asked.status, asked.reason:
            case 404, _:
                possible = any(not may_read(review, asked.person, held) for review, held in moments)
                return None if possible else "they could read it all the time"
            case 403, "step_up_required":
                possible = any(is_required(review.route, asked.body["kind"]) for review, _ in moments)
                return None if possible else "its route asks for no renewed sign-in"
            case 403, _:
                possible = any(_sealed(asked, review, held, asked.end) is None for review, held in moments)
                return None if possible else "they held a role for it all the time"
        return f"no model answers like this: {asked.said}"

    def _another_is_pending(self, asked: Asked) -> bool:
        """Whether another decision of theirs on this review was stored at that time without a receipt; its receipt, if it
        has one, is later than the question.
        """
        return any(
            stored.envelope.received_at <= asked.end
            and stored.envelope.decision_id != asked.id
            and (stored.envelope.person, stored.envelope.review) == (asked.person, asked.review)
            and self._settled_after(stored, asked.seen)
            for stored in self._past.decisions.values()
        )

    def _settled_after(self, stored: Stored, seq: int) -> bool:
        said = (decision_of(event) for event in self._ledgers[stored.envelope.review][:seq])
        return stored.envelope.decision_id not in said

    def _not_as_stored(self, asked: Asked, registries: Iterable[Registry]) -> str | None:
        stored = self._past.decisions.get(asked.id)
        if stored is None:
            return "it was acknowledged and is not stored"
        envelope = stored.envelope
        if not asked.draft.repeats(envelope):
            return "something else is stored"
        if not asked.first:
            return None
        received = envelope.received_at
        if not asked.start <= received <= asked.end:
            return f"it was received at {received}"
        for review in self._reviews(asked):
            for registry in registries:
                held = standing(registry, asked.person).at(asked.person, received)
                if may_read(review, asked.person, held) and _sealed(asked, review, held, received) == envelope:
                    return None
        return "at no moment would it have been stored like this"

    def _reviews(self, asked: Asked) -> Iterator[Review]:
        """The review as it may have been seen: after each commit between question and answer."""
        folds = self._folded(asked.review)
        events = self._ledgers[asked.review]
        for seq in range(asked.seen, len(events) + 1):
            if seq > asked.seen and events[seq - 1].at > asked.end:
                return
            if seq in (0, len(events)) or events[seq - 1].at != events[seq].at:
                yield folds[seq]

    def _folded(self, review: str) -> list[Review]:
        if review not in self._folds:
            self._folds[review] = [Review(id=review)]
            for event in self._ledgers[review]:
                self._folds[review].append(evolve(self._folds[review][-1], event))
        return self._folds[review]


def _held(asked: Asked, registries: Iterable[Registry]) -> Iterator[Standing]:
    for registry in registries:
        said = standing(registry, asked.person)
        for moment in (asked.start, asked.end):
            yield said.at(asked.person, moment)


def _sealed(asked: Asked, review: Review, held: Standing, received: datetime) -> Envelope | None:
    """What is stored for it where the review stands like this; None where they hold no role for it."""
    return seal(asked.draft, review, review.pack_digest, held, received)


def decision_of(event: Event) -> UUID | None:
    """The decision that an entry settles, or turns away."""
    envelope = getattr(event, "envelope", None)
    return getattr(event, "decision", None) if envelope is None else envelope.decision_id
