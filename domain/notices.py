"""Being told: what a commit gives notice of, whom that is for, and when they are written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from domain.access import may_read
from domain.calendar import TimeZone
from domain.deadlines import concerns
from domain.decisions import AdviceResponse, QuestionAnswer, Reassignment
from domain.events import Accepted, Event, FellDue, Reminded
from domain.facts import Standing
from domain.people import Holder, Role
from domain.review import waits_for
from domain.state import Review
from domain.turns import Change, Turn, is_for
from domain.values import Instant, PersonId, Prose, Slug, Value

WINDOW = timedelta(seconds=30)
"""How long a mail that should go at once waits for others to go with it: with the notifier's rounds, less than a minute."""

TOLD_WITHIN = timedelta(days=7)
"""After so long a notice is no news any more: it stays listed, and goes into no mail."""


class Kind(StrEnum):
    """What a notice is about."""

    TURN = "turn"
    REMINDER = "reminder"
    OVERDUE = "overdue"
    BLOCKED = "blocked"
    ANSWER = "answer"
    ADVICE = "advice"
    OUTCOME = "outcome"


ABOUT_TURNS = frozenset({Kind.TURN, Kind.REMINDER, Kind.OVERDUE, Kind.BLOCKED})

ALWAYS = frozenset({Kind.OVERDUE, Kind.BLOCKED})
"""What is told at once, whatever somebody prefers: others wait already, and nobody before them acted, or can."""


class Notice(Value):
    """Something to be told.

    Of a turn: to whoever's turn it is, which `answered_by` tells apart from the other turns of a role, or to `person`
    alone, who was assigned it. Of anything else: to `person`.
    """

    kind: Kind
    what: Prose
    role: Role | None = None
    office: Slug | None = None
    person: PersonId | None = None
    answered_by: tuple[str, ...] = ()
    due_at: Instant | None = None


def notices(
    before: Review, after: Review, events: Sequence[Event], turns: Sequence[Turn], changed: Iterable[Change]
) -> tuple[Notice, ...]:
    """What is to be told of `events`, which made `after` of `before`. Nobody is told what they did themselves.

    Args:
        before: the review as it was.
        after: the review as it is.
        events: what happened.
        turns: what it waits for now.
        changed: how these changed.
    """
    told = [
        *_of_turns(before, events, turns, changed),
        *(notice for event in events for notice in _of_event(before, event)),
    ]
    if before.outcome is None and after.outcome is not None and after.subject is not None:
        acted = {event.envelope.person for event in events if isinstance(event, Accepted)}
        told += [
            Notice(kind=Kind.OUTCOME, what=f"The review is closed: {after.outcome}.", person=person)
            for person in dict.fromkeys(after.subject.proposers)
            if person not in acted
        ]
    return tuple(told)


def concerned(notice: Notice, review: Review, holders: Iterable[Holder]) -> tuple[PersonId, ...]:
    """Whom the notice is for, as the review stands now: nobody whose turn it no longer is, and, but for operators, nobody
    who may not read the review. Sorted.

    Args:
        notice: what is told.
        review: the review as it stands.
        holders: under which grants everybody acts who comes into question.
    """
    holders = tuple(holders)
    if notice.kind in ABOUT_TURNS:
        turns = [turn for turn in waits_for(review) if _is_about(notice, turn)]
        acting = {holder.actor for holder in holders}
        to = [holder for holder in holders if notice.person in (None, holder.grant.person)]
        people = {person for person in acting if any(is_for(turn, person, to) for turn in turns)}
    else:
        people = {notice.person} if notice.person is not None else set()
    if notice.role is Role.OPERATOR:  # who grants roles needs not see what is proposed, and is told nothing of it
        return tuple(sorted(people))
    return tuple(sorted(person for person in people if may_read(review, person, Standing.acting(person, holders))))


class Queued(Notice):
    """A notice that was queued, at that moment."""

    id: int
    queued_at: Instant


def telling(review: Review, queued: Iterable[Queued], at: datetime) -> tuple[tuple[tuple[Queued, ...], ...], ...]:
    """For each turn that the review waits for: what was told of it, and of that what to tell whoever it falls to only
    now.

    Whoever got any of the former knows of the turn. Of the latter each is for other people: for those whom the officer
    assigned it to, and for everybody else whose turn it is.

    Args:
        review: the review as it stands.
        queued: the notices of the review, in order.
        at: now.
    """
    queued = tuple(queued)
    return tuple(
        _telling(turn, [notice for notice in queued if _tells_of(notice, turn)], at) for turn in waits_for(review)
    )


def _tells_of(notice: Notice, turn: Turn) -> bool:
    return notice.kind in ABOUT_TURNS and _is_about(notice, turn)


def _telling(turn: Turn, about: Sequence[Queued], at: datetime) -> tuple[tuple[Queued, ...], ...]:
    # The same was asked in an earlier round, perhaps: whoever was told then does not know of this one.
    about = [notice for notice in about if notice.queued_at >= turn.since] or about
    overdue = turn.due_at is not None and turn.due_at <= at
    now: dict[PersonId | None, Queued] = {}
    for notice in about:
        # Nobody is reminded of what they were not told, nor told that it is overdue when it was given more time.
        fits = notice.kind is not Kind.REMINDER and (overdue or notice.kind is not Kind.OVERDUE)
        if fits or notice.person not in now:
            now[notice.person] = notice
    return tuple(about), tuple(sorted(now.values(), key=lambda notice: notice.person == turn.person))


def as_it_stands(notice: Notice, review: Review) -> Notice:
    """The notice with what the turn is now: agreed by more people, perhaps, or due at another time."""
    turns = [turn for turn in waits_for(review) if _is_about(notice, turn)]
    if notice.kind not in ABOUT_TURNS or not turns:
        return notice
    turn = next((turn for turn in turns if turn.what == notice.what), turns[0])
    return notice.model_copy(update={"what": _asks(turn, notice.person), "due_at": turn.due_at})


class Pace(StrEnum):
    """How often somebody gets mail, if there is anything to tell."""

    IMMEDIATE = "immediate"
    HOURLY = "hourly"
    DAILY = "daily"
    NONE = "none"


class Preferences(Value):
    """What a person wants by mail: how often, about what, and at which hour of their day a daily one comes."""

    pace: Pace = Pace.DAILY
    kinds: tuple[Kind, ...] = tuple(Kind)
    time_zone: TimeZone = "UTC"
    hour: Annotated[int, Field(ge=0, le=23)] = 8

    def mail_at(self, kind: Kind, at: datetime) -> datetime | None:
        """When a mail goes that tells of something of this kind, which happened at `at`; None if none does."""
        if kind in ALWAYS:
            return at + WINDOW
        if kind not in self.kinds:
            return None
        match self.pace:
            case Pace.IMMEDIATE:
                return at + WINDOW
            case Pace.HOURLY:
                return at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            case Pace.DAILY:
                return self._next_morning(at)
            case Pace.NONE:
                return None

    def _next_morning(self, at: datetime) -> datetime:
        zone = ZoneInfo(self.time_zone)
        today = at.astimezone(zone).date()
        mornings = (datetime.combine(today + timedelta(days=n), time(self.hour), zone).astimezone(UTC) for n in (0, 1))
        return next(morning for morning in mornings if morning > at)


def _of_turns(
    before: Review, events: Sequence[Event], turns: Iterable[Turn], changed: Iterable[Change]
) -> Iterable[Notice]:
    """Whose turn it has become is told; at a deadline, those whose turn it is and whom it concerns."""
    # A turn that others had claimed is new to everybody else when it is free again.
    new = [c.now for c in changed if c.was is None or (c.was.taken and c.now and not c.now.taken)]
    rung = [event for event in events if isinstance(event, Reminded | FellDue) and not _ends_a_claim(before, event)]
    assigned = _assigned(events)
    for turn in turns:
        urged = [type(event) for event in rung if _urges(event, turn)]
        yield from (_of_turn(Kind.TURN, turn, person) for person in turn.claimed_by if person in assigned)
        if FellDue in urged:
            yield _of_turn(Kind.OVERDUE, turn)
        elif turn in new:
            yield _of_turn(Kind.BLOCKED if "grant" in turn.kinds else Kind.TURN, turn)
        elif urged:
            yield _of_turn(Kind.REMINDER, turn)


def _urges(event: Reminded | FellDue, turn: Turn) -> bool:
    # A deadline of everybody's is not one of the owner's who has a question to answer and holds nothing up.
    return concerns(event, turn) and (event.person is not None or turn.blocking or "extension" in turn.kinds)


def _ends_a_claim(before: Review, event: Reminded | FellDue) -> bool:
    return event.person is not None and before.claim_of(event.person) is not None


def _assigned(events: Iterable[Event]) -> set[PersonId | None]:
    contents = (event.envelope.content for event in events if isinstance(event, Accepted))
    return {content.person for content in contents if isinstance(content, Reassignment)}


def _of_turn(kind: Kind, turn: Turn, assigned: PersonId | None = None) -> Notice:
    person = assigned or turn.person
    return Notice(
        kind=kind,
        what=_asks(turn, person),
        role=turn.role,
        office=turn.office,
        person=person,
        answered_by=turn.kinds,
        due_at=turn.due_at,
    )


def _asks(turn: Turn, person: PersonId | None) -> str:
    """What the turn asks, of somebody to whom the officer assigned it."""
    return turn.what if person == turn.person else f"{turn.what} The officer assigned it to you."


def _of_event(before: Review, event: Event) -> Iterable[Notice]:
    match event:
        case Accepted(envelope=envelope) if isinstance(envelope.content, QuestionAnswer):
            question = envelope.content.question
            for asked in before.questions:
                if asked.by.decision == question:
                    yield Notice(kind=Kind.ANSWER, what="Your question was answered.", person=asked.by.person)
        case Accepted(envelope=envelope) if isinstance(envelope.content, AdviceResponse):
            given_by = {advice.id: advice.given_by for advice in before.council.advice}
            answers: dict[PersonId, Counter[str]] = {}
            for answer in envelope.content.answers:
                if answer.advice in given_by:
                    answers.setdefault(given_by[answer.advice], Counter())[answer.answer.replace("_", " ")] += 1
            for member, counts in answers.items():
                said = ", ".join(f"{count} {answer}" for answer, count in counts.items())
                yield Notice(kind=Kind.ADVICE, what=f"The officer answered your advice: {said}.", person=member)
        case _:
            return


def _is_about(notice: Notice, turn: Turn) -> bool:
    if (notice.role, notice.office, notice.answered_by) != (turn.role, turn.office, turn.kinds):
        return False
    if notice.person != turn.person and notice.person not in turn.claimed_by:
        return False
    return not turn.is_one_of_many or notice.what == turn.what
