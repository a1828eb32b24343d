"""Deadlines: when a wait, or one person in it, is reminded and falls due; who is asked then; what stops the clock.

Every moment is worked out here, once, on the pack's calendar, and stands in the event that sets it: whoever folds the
record needs no calendar.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import council, principles
from domain.calendar import Calendar, Span, WorkingDays
from domain.decisions import Envelope, Extension, Reason
from domain.entitlement import ROLES, current_step, officers
from domain.events import Began, Event, FellDue, Paused, Reminded, Resumed
from domain.facts import Facts
from domain.people import Role
from domain.refusal import Refusal
from domain.route import Allowance, Phase
from domain.separation import excluded
from domain.stages import Stage
from domain.state import Asked, Clock, Deadline, Review
from domain.turns import Turn
from domain.values import DecisionId, PersonId, Slug

LONGEST_EXTENSION = timedelta(days=366)

LONGEST_SILENCE = timedelta(days=28)
"""However late something is, whoever is asked is reminded again after this long."""

LONGEST_SILENCE_IN_WORKING_DAYS = 20
"""The same, where time is counted in working days."""


# What stands.


def due_before(review: Review, moment: datetime) -> Deadline | None:
    """The earliest deadline of an open review that fell due before `moment`, if there is one.

    A decision received at `moment` is taken only after the deadlines that fell due before it.
    """
    past = [deadline for deadline in review.deadlines if deadline.at < moment and not review.closed]
    return min(past, key=lambda deadline: deadline.at, default=None)


def next_deadline(review: Review) -> Deadline | None:
    """The deadline that falls due next."""
    return min(review.deadlines, key=lambda deadline: deadline.at, default=None)


def next_in_line(review: Review) -> tuple[Role, Slug | None]:
    """Who is asked once the present wait is overdue: the deputy of the officer or signatory whose turn it was, and the
    officer where it was anybody else's, or where there is no deputy.
    """
    if review.route is None:
        return Role.OFFICER, None
    officer = review.route.officer
    if review.phase is Phase.ANSWERING_ADVICE or principles.undecided(review) or council.without_opinion(review):
        return Role.OFFICER, review.route.deputy_officer or officer
    if review.phase is Phase.SIGNING:
        step = current_step(review)
        return (Role.OFFICER, officer) if step is None or step.deputy is None else (Role.SIGNATORY, step.deputy)
    return Role.OFFICER, officer


# What happens.


def ask(
    review: Review, person: PersonId, at: datetime, facts: Facts, *, question: DecisionId | None = None
) -> Began | None:
    """From now on this person has a time of their own: for their part in the present wait, or to answer a question.

    Nothing, where nothing is waited for.
    """
    phase = review.phase if question is None else Phase.WITH_OWNER
    return None if phase is None else _begins(review, phase, at, facts, person=person, question=question)


def claimed(review: Review, person: PersonId, at: datetime, facts: Facts) -> Began | None:
    """From now on this person has a time of their own for what they claimed: as long as a wait goes without a reminder,
    and no longer than the present one.
    """
    if review.route is None or review.phase is None or review.clock is None:
        return None
    own = facts.calendar.closing_after(at, review.route.allowances[review.phase].remind_after)
    due_at = min(own, _due(review.clock, facts.calendar, at))
    number = review.waits + 1
    return Began(at=at, phase=review.phase, number=number, remind_at=None, due_at=due_at, person=person)


def follows(review: Review, wanted: Phase, facts: Facts, at: datetime) -> Event | None:
    """What happens to the clocks by itself where the review waits for `wanted`, or nothing.

    While the owner has a question of this wait to answer, their time runs and nobody else's does.
    """
    if review.route is None or review.subject is None:
        return None
    if review.phase is not wanted:
        return _begins(review, wanted, at, facts)
    for asked in review.questions:
        if review.clock_for(asked.by.decision) is None:
            return ask(review, review.subject.owner, at, facts, question=asked.by.decision)
    others = [clock for clock in review.clocks if clock.phase is not Phase.WITH_OWNER]
    running = [clock for clock in others if clock.stopped_at is None]
    stopping = [asked.by.at for asked in review.questions if _stops(review, asked)]
    if stopping and running:
        since = min(stopping)
        return Paused(
            at=at, clocks=tuple(_stopped(review, clock, max(since, clock.runs_since), facts) for clock in running)
        )
    still = [clock for clock in others if clock.stopped_at is not None]
    if still and not stopping:
        numbered = enumerate(still, start=review.waits + 1)
        return Resumed(at=at, clocks=tuple(_resumed(clock, number, at, facts) for number, clock in numbered))
    return None


def falls_due(review: Review, name: str, facts: Facts, at: datetime) -> Event | None:
    """What it means that the deadline of this name is here; nothing, where it no longer stands."""
    clock, deadline = _find(review, name)
    if clock is None or deadline is None or review.route is None or review.closed:
        return None
    step = _step(review.route.allowances[clock.phase])
    calendar = facts.calendar
    claim = None if clock.person is None or clock.question is not None else review.claim_of(clock.person)
    if deadline.kind == "due" and claim is not None:
        others = (ROLES[claim.act][0], review.route.officer if claim.act == "ruling" else claim.office)
        return FellDue(at=at, deadline=name, next_in_line=others, person=clock.person)
    if deadline.kind == "due":
        again = _again(calendar, deadline.at, _at_most_silent(step, 0), at)
        line = next_in_line(review) if clock.person is None else (Role.OFFICER, review.route.officer)
        return FellDue(at=at, deadline=name, next_in_line=line, person=clock.person, again_at=again)
    if clock.overdue:
        again = _again(calendar, deadline.at, _at_most_silent(step, clock.reminders + 1), at)
        return Reminded(at=at, deadline=name, person=clock.person, again_at=again)
    again = _again(calendar, deadline.at, _doubled(step, clock.reminders), at)
    in_time = clock.due_at is not None and again < clock.due_at
    return Reminded(at=at, deadline=name, person=clock.person, again_at=again if in_time else None)


def refuse_extension(review: Review, envelope: Envelope, extension: Extension, facts: Facts) -> Refusal | None:
    """Why the present wait, or one person in it, can't be given time until then, if they can't."""
    now, until = envelope.received_at, extension.until
    clocks = _extended(review, extension)
    if not clocks and extension.person is None:
        return Refusal(Reason.OUT_OF_STAGE, "Nothing waits that could be given more time.")
    if not clocks:
        return Refusal(Reason.UNKNOWN_REFERENCE, "Nobody of this name is asked for anything now by name.")
    due = max(_due(clock, facts.calendar, now) for clock in clocks)
    if not max(due, now) < until <= now + LONGEST_EXTENSION:
        return Refusal(
            Reason.INVALID, "The time can be extended past the present deadline, by at most 366 days from now."
        )
    return None


def extends(review: Review, extension: Extension, facts: Facts, at: datetime) -> tuple[Began, ...]:
    """The present wait, or one person's part of it, begun anew until another moment, with a reminder as long before it
    as ever.
    """
    if review.route is None:
        return ()
    began = []
    for number, clock in enumerate(_extended(review, extension), start=review.waits + 1):
        allowance = review.route.allowances[clock.phase]
        remind_at = facts.calendar.opening_before(extension.until, _from_reminder_to_due(allowance))
        began.append(
            Began(
                at=at,
                phase=clock.phase,
                number=number,
                remind_at=remind_at if remind_at > at else None,
                due_at=extension.until,
                person=extension.person,
                question=clock.question,
                since=clock.since,
            )
        )
    return tuple(began)


# What is folded.


def with_clock(review: Review, began: Began) -> Review:
    """The review with this clock running: in a wait as old as before where it is the same one."""
    same = review.phase is began.phase
    before = review.phase_since if same and began.person is None else None
    key = (began.person, began.question)
    others = (clock for clock in review.clocks if (clock.person, clock.question) != key)
    clock = Clock(
        number=began.number,
        phase=began.phase,
        person=began.person,
        question=began.question,
        since=began.since or before or began.at,
        runs_since=began.at,
        remind_at=began.remind_at,
        due_at=began.due_at,
    )
    if began.person is None and not same:
        others = (other for other in others if other.question is not None or _is_of_claim(review, other, began.phase))
    update: dict[str, object] = {"waits": began.number, "clocks": (*others, clock)}
    if began.person is None:
        wait = review.wait if same else began.number
        update |= {"phase": began.phase, "phase_since": clock.since, "wait": wait}
    return review.model_copy(update=update)


def with_reminder(review: Review, reminded: Reminded) -> Review:
    """The review after this reminder: the next one is due when it says."""
    clock, _ = _find(review, reminded.deadline)
    if clock is None:
        return review
    return _with(review, clock, remind_at=reminded.again_at, reminders=clock.reminders + 1)


def with_overdue(review: Review, fell_due: FellDue) -> Review:
    """The review in which this time has run out."""
    clock, _ = _find(review, fell_due.deadline)
    return review if clock is None else _with(review, clock, overdue=True, remind_at=fell_due.again_at, reminders=0)


def with_pause(review: Review, paused: Paused) -> Review:
    """The review whose clocks stand still."""
    stopped = {clock.number: clock for clock in paused.clocks}
    return review.model_copy(update={"clocks": tuple(stopped.get(c.number, c) for c in review.clocks)})


def with_resumption(review: Review, resumed: Resumed) -> Review:
    """The review whose clocks run again."""
    running = (clock for clock in review.clocks if clock.stopped_at is None)
    waits = max((clock.number for clock in resumed.clocks), default=review.waits)
    return review.model_copy(update={"clocks": (*running, *resumed.clocks), "waits": waits})


def answered(review: Review, question: DecisionId) -> Review:
    """The review in which the owner has answered this question."""
    return review.model_copy(update={"clocks": tuple(c for c in review.clocks if c.question != question)})


def freed(review: Review, person: PersonId) -> Review:
    """The review in which this person has done their part, or is asked for it no longer."""
    kept = tuple(c for c in review.clocks if c.person != person or c.question is not None)
    return review.model_copy(update={"clocks": kept})


def at_rest(review: Review) -> Review:
    """The review that waits for nothing but the owner's answers, if any are open."""
    open_questions = tuple(clock for clock in review.clocks if clock.question is not None)
    return review.model_copy(update={"phase": None, "clocks": open_questions})


# Whose turn it is.


def timed(review: Review, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """These turns, each with the time that its person has, and marked where the clock stands still."""
    return tuple(_timed(review, turn) for turn in turns)


def turns(review: Review) -> tuple[Turn, ...]:
    """The officer's turns to give more time, or to decline, once the time of others has run out."""
    if review.stage is None or review.phase is None or review.phase_since is None:
        return ()
    if not any(clock.overdue for clock in review.clocks):
        return ()
    late = Turn(
        stage=review.stage,
        kinds=("extension",),
        what="The time has run out: give more, or wait.",
        role=Role.OFFICER,
        not_for=excluded(review, "extension"),
        since=review.due_at or review.phase_since,
        blocking=False,
    )
    to_decline = {"kinds": ("extension", "ruling"), "not_for": excluded(review, "ruling"), "blocking": True}
    found: list[Turn] = []
    if review.overdue and review.phase in (Phase.WITH_OWNER, Phase.TRAINING):
        what = "The time has run out: extend it, or decline the proposal."
        found += officers(review, late.model_copy(update={"what": what, **to_decline}))
    elif review.overdue and review.phase in (Phase.SIGNING, Phase.CONSULTING) and not council.without_opinion(review):
        found += officers(review, late)
    for clock in review.clocks:
        if clock.overdue and clock.question is not None:
            what = "The owner has not answered in time: give more time, or decline the proposal."
            since = {"since": clock.due_at or clock.since}
            found += officers(review, late.model_copy(update={"what": what, **to_decline, **since}))
        elif clock.overdue and clock.person is not None:
            what = f"The time of {clock.person} has run out: give them more, or go on without."
            found += officers(review, late.model_copy(update={"what": what, "since": clock.due_at or clock.since}))
    return tuple(found)


def concerns(event: Reminded | FellDue, turn: Turn) -> bool:
    """Whether whoever's turn this is should hear of that deadline: one person's is theirs, and the officer's who may
    give them more time.
    """
    return event.person is None or turn.person == event.person or "extension" in turn.kinds


# The arithmetic.


def _begins(
    review: Review,
    phase: Phase,
    at: datetime,
    facts: Facts,
    *,
    person: PersonId | None = None,
    question: DecisionId | None = None,
) -> Began | None:
    if review.route is None:
        return None
    allowance = review.route.allowances[phase]
    return Began(
        at=at,
        phase=phase,
        number=review.waits + 1,
        remind_at=facts.calendar.opening_after(at, allowance.remind_after),
        due_at=facts.calendar.closing_after(at, allowance.due_after),
        person=person,
        question=question,
    )


def _stops(review: Review, asked: Asked) -> bool:
    """Whether the present wait's clock stands still for this question: one that was asked in it, or that holds sign-off.

    Whoever asked in an earlier wait has gone on without the answer.
    """
    return asked.wait == review.wait or (asked.holds_sign_off and review.stage is Stage.SIGN_OFF)


def _stopped(review: Review, clock: Clock, moment: datetime, facts: Facts) -> Clock:
    if review.route is None:
        return clock
    kind = review.route.allowances[clock.phase].due_after
    calendar, remind_at, due_at = facts.calendar, clock.remind_at, clock.due_at
    return clock.model_copy(
        update={
            "stopped_at": moment,
            "remind_at": None,
            "remind_left": None if remind_at is None else calendar.left(moment, remind_at, kind),
            "due_at": due_at if clock.overdue else None,
            "due_left": None if clock.overdue or due_at is None else calendar.left(moment, due_at, kind),
        }
    )


def _resumed(clock: Clock, number: int, at: datetime, facts: Facts) -> Clock:
    calendar = facts.calendar
    due_at = clock.due_at if clock.due_left is None else calendar.closing_after(at, clock.due_left)
    remind_at = None if clock.remind_left is None else calendar.opening_after(at, clock.remind_left)
    too_late = remind_at is not None and due_at is not None and not clock.overdue and remind_at >= due_at
    return clock.model_copy(
        update={
            "number": number,
            "runs_since": at,
            "stopped_at": None,
            "remind_at": None if too_late else remind_at,
            "remind_left": None,
            "due_at": due_at,
            "due_left": None,
        }
    )


def _from_reminder_to_due(allowance: Allowance) -> Span:
    match allowance.remind_after, allowance.due_after:
        case WorkingDays(working_days=remind), WorkingDays(working_days=due):
            return WorkingDays(working_days=due - remind)
        case timedelta() as remind_after, timedelta() as due_after:
            return due_after - remind_after
        case _:
            raise ValueError("an allowance is of one kind")


def _step(allowance: Allowance) -> Span:
    """The interval between the first two reminders: a quarter of what is left at the first, and at least a day. As each
    interval is twice the one before, there are at most three until it is due.
    """
    left = _from_reminder_to_due(allowance)
    if isinstance(left, timedelta):
        return max(left / 4, timedelta(days=1))
    return WorkingDays(working_days=max(left.working_days // 4, 1))


def _doubled(step: Span, times: int) -> Span:
    factor = 2 ** min(times, 6)
    return step * factor if isinstance(step, timedelta) else WorkingDays(working_days=step.working_days * factor)


def _at_most_silent(step: Span, times: int) -> Span:
    interval = _doubled(step, times)
    if isinstance(interval, timedelta):
        return min(interval, LONGEST_SILENCE)
    return WorkingDays(working_days=min(interval.working_days, LONGEST_SILENCE_IN_WORKING_DAYS))


def _again(calendar: Calendar, last: datetime, interval: Span, at: datetime) -> datetime:
    """The next reminder; those that would have come while nothing was running are not made up for."""
    again = calendar.opening_after(last, interval)
    return again if again > at else calendar.opening_after(at, interval)


def _due(clock: Clock, calendar: Calendar, at: datetime) -> datetime:
    if clock.due_left is not None:
        return calendar.closing_after(at, clock.due_left)
    return clock.since if clock.due_at is None else clock.due_at


def _extended(review: Review, extension: Extension) -> list[Clock]:
    """The clocks that an extension is about. Somebody who is asked by name and shares the time of all gets their own."""
    if extension.person is None:
        return [] if review.clock is None else [review.clock]
    own = [c for c in review.clocks if c.person == extension.person and not _is_of_claim(review, c, c.phase)]
    shares = extension.person in _asked_by_name(review)
    return [review.clock] if shares and not own and review.clock is not None else own


def _asked_by_name(review: Review) -> tuple[PersonId, ...]:
    """Those of whom something is asked by name in the present wait; they share its time, until they have their own."""
    match review.phase:
        case Phase.CONSULTING:
            return tuple(member.person for member in council.waiting_members(review))
        case Phase.REVIEWING:
            return principles.unfinished(review)
        case _:
            return ()


def _is_of_claim(review: Review, clock: Clock, phase: Phase) -> bool:
    """Whether this is the time that a claim to something which is waited for in this phase has."""
    if clock.person is None or clock.question is not None or clock.phase is not phase:
        return False
    return review.claim_of(clock.person) is not None


def _find(review: Review, name: str) -> tuple[Clock | None, Deadline | None]:
    for clock in review.clocks:
        for deadline in clock.deadlines:
            if deadline.id == name:
                return clock, deadline
    return None, None


def _with(review: Review, clock: Clock, **update: object) -> Review:
    changed = clock.model_copy(update=update)
    return review.model_copy(update={"clocks": tuple(changed if c is clock else c for c in review.clocks)})


def _timed(review: Review, turn: Turn) -> Turn:
    own = None if turn.person is None else review.clock_of(turn.person)
    if own is not None:
        return turn.model_copy(update={"since": own.since, "due_at": own.due_at, "paused": own.stopped_at is not None})
    return turn.model_copy(update={"paused": True}) if review.paused else turn
