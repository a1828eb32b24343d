"""Deadlines remind, then escalate to the next in line; time alone decides nothing."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import Calendar, Holiday, Hours, Span, Weekday, WorkingDays
from domain.commands import FallDue
from domain.deadlines import ask, concerns, due_before, next_deadline
from domain.decisions import ChangeRequest, Extension, NoOpinion, Question, QuestionAnswer, Reason, Ruling, Submission
from domain.events import Accepted, Began, FellDue, Paused, Reminded, Resumed
from domain.narrative import tell
from domain.people import Grant, Role
from domain.review import evolve, waits_for
from domain.route import Allowance, Phase, Route
from domain.stages import Stage
from domain.state import Clock
from domain.values import DecisionId
from tests.domain.builders import (
    DAY,
    DEPUTY,
    HEAD,
    HOUR,
    LEA,
    OFFICER,
    OWNER,
    REVIEWERS,
    START,
    Case,
    answers,
    opinion,
    route,
    sheet,
    text_digest,
)


def waiting(phase: Phase) -> Case:
    """A review that waits for this."""
    case = Case(route(council=True, training=True))
    match phase:
        case Phase.WITH_OWNER:
            case.accepts(OFFICER, ChangeRequest())
        case Phase.CONSULTING | Phase.ANSWERING_ADVICE | Phase.TRAINING:
            case.agree()
        case Phase.SIGNING:
            case.to_sign_off()
        case Phase.REVIEWING:
            pass
    if phase in (Phase.ANSWERING_ADVICE, Phase.TRAINING):
        case.consult(*(["ask them"] if phase is Phase.ANSWERING_ADVICE else []))
    assert phase is case.review.phase
    return case


NEXT = {
    Phase.REVIEWING: (Role.OFFICER, "officer"),
    Phase.WITH_OWNER: (Role.OFFICER, "officer"),
    Phase.CONSULTING: (Role.OFFICER, "officer"),
    Phase.ANSWERING_ADVICE: (Role.OFFICER, "deputy_officer"),
    Phase.TRAINING: (Role.OFFICER, "officer"),
    Phase.SIGNING: (Role.SIGNATORY, "head_deputy"),
}


def days(span: Span) -> timedelta:
    """A span that is a duration."""
    assert isinstance(span, timedelta)
    return span


@pytest.mark.parametrize("phase", Phase)
def test_every_wait_reminds_and_then_escalates(phase: Phase) -> None:
    """At the moments that the route allows; after the last one the next in line has a turn."""
    case = waiting(phase)
    allowance = case.route.allowances[phase]
    remind_after, due_after = days(allowance.remind_after), days(allowance.due_after)
    remind, due = sorted(case.review.deadlines, key=lambda deadline: deadline.at)
    began = case.review.phase_since
    assert began is not None
    assert [began + remind_after, began + due_after] == [remind.at, due.at]
    assert remind == next_deadline(case.review)
    before = waits_for(case.review)
    *reminded, fell_due = case.time_runs_out()
    assert all(isinstance(event, Reminded) for event in reminded)
    assert isinstance(fell_due, FellDue)
    assert NEXT[phase] == fell_due.next_in_line
    assert case.review.overdue
    assert not any(deadline.kind == "due" for deadline in case.review.deadlines)
    assert any((turn.role, turn.office) == NEXT[phase] for turn in waits_for(case.review))
    assert {turn.role for turn in before} <= {turn.role for turn in waits_for(case.review)} or phase is Phase.CONSULTING


def test_reminders_come_at_growing_intervals() -> None:
    """The second a quarter of what is left after the first, the third after twice that; then it is due."""
    case = Case()
    began = case.now
    moments = []
    while not case.review.overdue:
        (deadline,) = (d for d in case.review.deadlines if d == next_deadline(case.review))
        moments.append((deadline.at - began) / DAY)
        case.rings(deadline)
    assert [5, 8.75, 16.25, 20] == moments


def test_what_is_overdue_is_never_forgotten_and_floods_nobody() -> None:
    """The intervals double up to four weeks, for as long as nobody acts; each reminder has a name of its own."""
    case = Case()
    case.time_runs_out()
    last, names, intervals = case.review.due_at, [], []
    assert last is not None
    for _ in range(8):
        (deadline,) = case.review.deadlines
        assert "remind" == deadline.kind
        names.append(deadline.id)
        intervals.append((deadline.at - last) / DAY)
        last = deadline.at
        (reminded,) = case.rings(deadline)
        assert "Reminded: verdicts on the principles is overdue; again" in tell(reminded).what
    assert [3.75, 7.5, 15, 28, 28, 28, 28, 28] == intervals
    assert 8 == len(set(names))


def test_reminders_that_nobody_could_send_are_not_made_up_for() -> None:
    """After half a year in which nothing ran there is one, not eight."""
    case = Case()
    case.time_runs_out()
    case.now += 180 * DAY
    (deadline,) = case.review.deadlines
    case.rings(deadline)
    (following,) = case.review.deadlines
    assert following.at > case.now


def test_after_the_deputy_both_are_reminded() -> None:
    """The signatory and the deputy have their turns still, and the officer can give more time."""
    case = waiting(Phase.SIGNING)
    case.time_runs_out()
    (deadline,) = case.review.deadlines
    (reminded,) = case.rings(deadline)
    assert isinstance(reminded, Reminded)
    told = [(turn.role, turn.office) for turn in waits_for(case.review) if concerns(reminded, turn)]
    assert [
        (Role.SIGNATORY, "head"),
        (Role.SIGNATORY, "head_deputy"),
        (Role.OFFICER, "officer"),
        (Role.OFFICER, "deputy_officer"),
    ] == told


def test_where_there_is_no_deputy_the_officer_is_next_in_line() -> None:
    """No wait ends with nobody."""
    case = Case(route(deputies=False))
    case.agree()
    *_, fell_due = case.time_runs_out()
    assert isinstance(fell_due, FellDue)
    assert (Role.OFFICER, "officer") == fell_due.next_in_line
    assert {"signature", "extension"} <= {kind for turn in waits_for(case.review) for kind in turn.kinds}


@pytest.mark.parametrize("phase", Phase)
def test_an_extension_begins_the_time_anew(phase: Phase) -> None:
    """Before or after it ran out: nothing is overdue, the next in line steps back, and the wait is as old as before."""
    for late in (False, True):
        case = waiting(phase)
        turns, since = waits_for(case.review), case.review.phase_since
        if late:
            case.time_runs_out()
        until = case.now + 100 * DAY
        case.accepts(OFFICER, Extension(until=until))
        review = case.review
        assert (False, until, since) == (review.overdue, review.due_at, review.phase_since)
        # The officer was heard by it, which turns others and the officer's other roles away.
        unheard = {"not_for": (), "not_granted_by": (), "own_voice_only": ()}
        now = unheard | {"due_at": until}
        assert [t.model_copy(update=now) for t in turns] == [t.model_copy(update=unheard) for t in waits_for(review)]
        assert {"remind", "due"} == {deadline.kind for deadline in review.deadlines}


@given(st.timedeltas(-400 * DAY, 800 * DAY))
def test_time_is_given_past_the_deadline_and_not_for_ever(more: timedelta) -> None:
    """An extension only ever extends, by at most a year and a day from when it is given."""
    case = Case()
    due = case.review.due_at
    assert due is not None
    until = due + more
    allowed = due < until <= case.now + 366 * DAY
    answer = case.say(OFFICER, Extension(until=until))
    assert allowed is isinstance(answer, Accepted)
    assert allowed or getattr(answer, "reason", None) is Reason.INVALID


def test_a_short_extension_reminds_no_more() -> None:
    """Where the moment for a reminder has passed, there is only the deadline."""
    case = Case()
    case.time_runs_out()
    case.accepts(OFFICER, Extension(until=case.now + HOUR))
    assert ["due"] == [deadline.kind for deadline in case.review.deadlines]


def test_a_moment_is_told_in_utc() -> None:
    """Whatever offset the officer wrote it with."""
    case = Case()
    until = (case.now + 100 * DAY).astimezone(timezone(timedelta(hours=9)))
    case.accepts(OFFICER, Extension(until=until))
    told = [tell(event).what for event in case.events if isinstance(event, Began | Accepted)]
    assert all("18:00" not in what for what in told)
    assert sum("09:00 UTC" in what for what in told) >= 2


def test_a_deadline_that_no_longer_stands_does_nothing() -> None:
    """One of a wait that is over, one that passed, one that never was, one of a closed review."""
    case = Case()
    (first, *_) = case.review.deadlines
    case.agree()
    for name in (first.id, "nothing-1-due"):
        assert () == case.apply(FallDue(deadline=name), case.facts())
    standing = case.review.deadlines
    assert isinstance(case.sign(HEAD), Accepted)
    for deadline in standing:
        assert () == case.apply(FallDue(deadline=deadline.id), case.facts())


def test_no_two_waits_share_a_deadline() -> None:
    """Every wait numbers its deadlines anew, so that a late timer hits nothing else."""
    case = Case()
    for _ in range(2):
        case.accepts(OFFICER, Extension(until=(case.review.due_at or case.now) + DAY))
    names = [f"{event.phase}-{event.number}" for event in case.events if isinstance(event, Began)]
    assert len(set(names)) == len(names)


def test_a_decision_received_before_the_deadline_is_in_time() -> None:
    """By the time it was received, not by the time it is applied; at the very moment is in time still."""
    case = waiting(Phase.CONSULTING)
    due = max(deadline.at for deadline in case.review.deadlines)
    for moment, late in ((due, None), (due + HOUR, Reason.LATE)):
        case.now = moment
        envelope = case.envelope(LEA if late is None else "noa.npo", opinion())
        case.now = due + DAY
        assert late is getattr(case.take(envelope), "reason", None)


@given(st.lists(st.timedeltas(-DAY, DAY), max_size=4), st.timedeltas(-DAY, DAY))
def test_what_fell_due_before_a_moment_is_the_earliest(offsets: list[timedelta], moment: timedelta) -> None:
    """And nothing where every deadline is at that moment or later."""
    case = Case()
    clocks = tuple(
        Clock(number=n, phase=Phase.REVIEWING, since=case.now, runs_since=case.now, due_at=case.now + o)
        for n, o in enumerate(offsets)
    )
    found = due_before(case.review.model_copy(update={"clocks": clocks}), case.now + moment)
    past = sorted(offset for offset in offsets if offset < moment)
    assert (case.now + past[0] if past else None) == (None if found is None else found.at)


def test_a_quorum_concludes_when_the_time_runs_out() -> None:
    """That is not approval: the advice is still to be answered, and the signatures to be given."""
    case = waiting(Phase.CONSULTING)
    for person in (LEA, "noa.npo", "cai.consumer"):
        case.accepts(person, opinion("ask them"))
    case.time_runs_out()
    assert case.review.phase is Phase.ANSWERING_ADVICE
    assert not case.review.overdue
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, NoOpinion())
    case.accepts(OFFICER, answers(case.review))


# While the owner answers.


def asked_after(case: Case, time: timedelta, person: str = REVIEWERS[0]) -> DecisionId:
    """Let that much time pass, and ask the owner."""
    case.now += time
    case.accepts(person, Question())
    return case.review.questions[-1].by.decision


def test_the_clock_stands_still_while_the_owner_answers() -> None:
    """The owner has a time of their own; then the wait goes on with what was left of it, reminder and all."""
    case = Case(route(needed=2, panel=3))
    due_at = case.review.due_at
    assert due_at is not None
    question = asked_after(case, 3 * DAY)
    assert (True, None) == (case.review.paused, case.review.due_at)
    assert {OWNER} == {deadline.person for deadline in case.review.deadlines}
    reviewers, owner = waits_for(case.review)
    assert (Role.REVIEWER, True, None) == (reviewers.role, reviewers.paused, reviewers.due_at)
    assert (OWNER, False, case.now + 21 * DAY) == (owner.person, owner.paused, owner.due_at)

    case.now += 11 * DAY
    case.accepts(REVIEWERS[1], sheet())
    assert case.review.paused
    case.accepts(OWNER, QuestionAnswer(question=question))
    assert (False, due_at + 11 * DAY) == (case.review.paused, case.review.due_at)
    assert [2 * DAY, 17 * DAY] == [deadline.at - case.now for deadline in case.review.deadlines]
    assert not any(turn.paused for turn in waits_for(case.review))
    told = [tell(event).what for event in case.events if isinstance(event, Paused | Resumed)]
    assert ["verdicts on the principles, 17 days left" in told[0], "runs again" in told[1]] == [True, True]


def test_the_clock_runs_again_after_the_last_answer() -> None:
    """However many have asked; each answer has its own time."""
    case = Case(route(needed=2, panel=3))
    first, second = asked_after(case, DAY), asked_after(case, DAY, OFFICER)
    dues = [deadline.at for deadline in case.review.deadlines if deadline.kind == "due"]
    assert [case.now + 20 * DAY, case.now + 21 * DAY] == sorted(dues)
    case.now += 5 * DAY
    case.accepts(OWNER, QuestionAnswer(question=first))
    assert case.review.paused
    case.accepts(OWNER, QuestionAnswer(question=second))
    assert case.now + 19 * DAY == case.review.due_at


def test_a_question_stops_no_later_wait() -> None:
    """Whoever gave a verdict without the answer has gone on; the owner's time for it runs all the same."""
    case = Case()
    asked_after(case, DAY)
    case.agree()
    assert (Phase.SIGNING, False) == (case.review.phase, case.review.paused)
    assert {None, OWNER} == {deadline.person for deadline in case.review.deadlines}


def test_a_signature_waits_for_the_answer_and_then_as_long_as_was_left() -> None:
    """Sign-off does not begin anew because somebody asked."""
    case = waiting(Phase.SIGNING)
    due_at = case.review.due_at
    assert due_at is not None
    question = asked_after(case, 10 * DAY, HEAD)
    case.now += 7 * DAY
    case.accepts(OWNER, QuestionAnswer(question=question))
    assert (Phase.SIGNING, due_at + 7 * DAY) == (case.review.phase, case.review.due_at)


def test_time_stops_when_the_question_was_received() -> None:
    """Not when it was put on record: a worker that was down for a month costs nobody their time."""
    case = Case(route(needed=2, panel=3))
    case.now += 3 * DAY
    envelope = case.envelope(REVIEWERS[0], Question())
    case.now += 30 * DAY
    assert isinstance(case.take(envelope), Accepted)
    assert not case.review.overdue
    case.accepts(OWNER, QuestionAnswer(question=envelope.decision_id))
    assert case.now + 17 * DAY == case.review.due_at


def test_an_owner_who_does_not_answer_is_the_officers_case() -> None:
    """Or the deputy's: they give the owner more time, or decline; the reviewers' clock stands still as before."""
    for content in (Extension(until=START + 100 * DAY, person=OWNER), Ruling(ruling="decline")):
        case = Case(route(needed=2, panel=3))
        asked_after(case, DAY)
        assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, Ruling(ruling="decline"))
        *_, fell_due = case.time_runs_out(OWNER)
        assert isinstance(fell_due, FellDue)
        assert (OWNER, (Role.OFFICER, "officer")) == (fell_due.person, fell_due.next_in_line)
        offices = [turn.office for turn in waits_for(case.review) if "ruling" in turn.kinds]
        assert ["officer", "deputy_officer"] == offices
        assert (True, False) == (case.review.paused, case.review.overdue)
        assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, Ruling(ruling="proceed"))
        case.accepts(DEPUTY, content)
        assert case.review.closed is isinstance(content, Ruling)
        (owner,) = (
            (turn for turn in waits_for(case.review) if turn.person == OWNER) if not case.review.closed else (None,)
        )
        assert owner is None or (START + 100 * DAY) == owner.due_at


def test_what_is_overdue_stays_so_while_the_owner_answers() -> None:
    """But nobody is reminded of it until the owner has answered."""
    case = Case(route(needed=2, panel=3))
    case.time_runs_out()
    question = asked_after(case, HOUR)
    assert (True, True) == (case.review.overdue, case.review.paused)
    assert {OWNER} == {deadline.person for deadline in case.review.deadlines}
    case.accepts(OWNER, QuestionAnswer(question=question))
    assert (True, False) == (case.review.overdue, case.review.paused)
    assert [None] == [deadline.person for deadline in case.review.deadlines]


def test_an_extension_counts_while_the_clock_stands_still() -> None:
    """What it gives is left when the owner has answered."""
    case = Case(route(needed=2, panel=3))
    question = asked_after(case, 3 * DAY)
    assert Reason.INVALID is case.refusal(OFFICER, Extension(until=case.now + 17 * DAY))
    case.accepts(OFFICER, Extension(until=case.now + 40 * DAY))
    assert case.review.paused
    case.now += 5 * DAY
    case.accepts(OWNER, QuestionAnswer(question=question))
    assert case.now + 40 * DAY == case.review.due_at


# One person's time.


def test_who_is_asked_later_has_a_time_of_their_own() -> None:
    """When it is over, their part escalates, and everybody else's goes on; an extension can be theirs alone."""
    case = Case(route(needed=2, panel=3))
    case.now += 2 * DAY
    began = ask(case.review, REVIEWERS[2], case.now, case.facts())
    assert began is not None
    case.review = evolve(case.review, began)
    assert began.due_at == case.now + 20 * DAY
    wait = case.review.due_at
    case.accepts(OFFICER, Extension(until=case.now + 60 * DAY))
    *_, fell_due = case.time_runs_out(REVIEWERS[2])
    assert isinstance(fell_due, FellDue)
    assert REVIEWERS[2] == fell_due.person
    assert not case.review.overdue
    (officer,) = (turn for turn in waits_for(case.review) if turn.role is Role.OFFICER)
    assert (("extension",), False) == (officer.kinds, officer.blocking)
    assert REVIEWERS[2] in officer.what
    assert [True, False] == [concerns(fell_due, turn) for turn in (officer, waits_for(case.review)[0])]

    case.accepts(OFFICER, Extension(until=case.now + 9 * DAY, person=REVIEWERS[2]))
    own = case.review.clock_of(REVIEWERS[2])
    assert own is not None
    assert (False, case.now + 9 * DAY, began.at) == (own.overdue, own.due_at, own.since)
    assert wait is not None
    case.accepts(REVIEWERS[2], sheet())
    assert case.review.clock_of(REVIEWERS[2]) is None


def test_more_time_for_nobody_is_refused() -> None:
    """A name that nobody is asked by."""
    case = Case()
    answer = case.say(OFFICER, Extension(until=case.now + 60 * DAY, person="nobody"))
    assert Reason.UNKNOWN_REFERENCE is getattr(answer, "reason", None)


def test_a_council_member_can_be_given_more_time_than_the_others() -> None:
    """The Council is not concluded before theirs is over too."""
    case = waiting(Phase.CONSULTING)
    for person in ("noa.npo", "ada.academic", "cai.consumer"):
        case.accepts(person, opinion())
    due_at = case.review.due_at
    assert due_at is not None
    case.now += DAY
    case.accepts(OFFICER, Extension(until=due_at + 30 * DAY, person=LEA))
    (member,) = (turn for turn in waits_for(case.review) if turn.role is Role.COUNCIL_MEMBER)
    assert (case.review.phase_since, due_at + 30 * DAY) == (member.since, member.due_at)
    case.time_runs_out()
    assert (True, Phase.CONSULTING) == (case.review.overdue, case.review.phase)
    case.time_runs_out(LEA)
    assert Phase.TRAINING is case.review.phase


def test_a_member_whose_own_time_is_over_is_late() -> None:
    """The others are not, and are waited for."""
    case = waiting(Phase.CONSULTING)
    due_at = case.review.due_at
    assert due_at is not None
    case.accepts(OFFICER, Extension(until=due_at + DAY, person=LEA))
    case.accepts(OFFICER, Extension(until=due_at + 60 * DAY))
    case.time_runs_out(LEA)
    assert Reason.LATE is case.refusal(LEA, opinion())
    for person in ("noa.npo", "ada.academic"):
        case.accepts(person, opinion())
    assert Stage.COUNCIL not in case.review.passed
    case.accepts("cai.consumer", opinion())
    assert Stage.COUNCIL in case.review.passed


def test_who_is_seated_by_an_extension_gets_a_whole_time() -> None:
    """Counted from when they were asked."""
    case = waiting(Phase.CONSULTING)
    case.time_runs_out()
    newcomer = Grant(id="new", person="nia.new", role=Role.COUNCIL_MEMBER, office="lawyer")
    case.grants.append(newcomer)
    case.accepts(OFFICER, Extension(until=case.now + 3 * DAY))
    turns = {turn.person: turn.due_at for turn in waits_for(case.review)}
    assert (case.now + 3 * DAY, case.now + 22 * DAY) == (turns[LEA], turns["nia.new"])
    case.time_runs_out()
    assert Reason.LATE is case.refusal(LEA, opinion())
    case.accepts("nia.new", opinion())


# Working days.

OFFICE_HOURS = Calendar(
    id="office",
    title="An office",
    source="An example.",
    time_zone="Asia/Tokyo",
    working_week={day: Hours(opens="09:00", closes="17:30") for day in tuple(Weekday)[:5]},
    holidays=(Holiday(day=date(2026, 4, 29), name="Showa Day"),),
)


def working(case_route: Route, remind: int, due: int) -> Case:
    """A review whose waits are counted in working days, begun on Wednesday, 1 April 2026, at 18:00 in Tokyo."""
    allowance = Allowance(remind_after=WorkingDays(working_days=remind), due_after=WorkingDays(working_days=due))
    case = Case(case_route.model_copy(update={"allowances": dict.fromkeys(Phase, allowance)}), opened=False)
    case.calendar = OFFICE_HOURS
    assert isinstance(case.say("aki.author", Submission(), digest=text_digest(1)), Accepted)
    return case


def tokyo(*moment: int) -> datetime:
    """A moment of 2026 in Tokyo."""
    month, day, hour, minute = moment
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo("Asia/Tokyo"))


def test_working_days_are_counted_on_the_packs_calendar() -> None:
    """A reminder in the morning, due in the evening; never on a weekend or a holiday."""
    case = working(route(needed=2, panel=3), 5, 20)
    moments = [deadline.at for deadline in case.review.deadlines]
    assert [tokyo(4, 8, 9, 0), tokyo(4, 30, 17, 30)] == moments
    *reminded, _ = case.time_runs_out()
    assert [tokyo(4, 8, 9, 0), tokyo(4, 13, 9, 0), tokyo(4, 21, 9, 0)] == [event.at for event in reminded]
    (again,) = case.review.deadlines
    assert tokyo(5, 5, 9, 0) == again.at


def test_what_was_left_in_working_days_is_left_after_the_answer() -> None:
    """A question on a Friday afternoon and an answer on Monday cost one working day."""
    case = working(route(needed=2, panel=3), 5, 10)
    assert tokyo(4, 15, 17, 30) == case.review.due_at
    case.now = tokyo(4, 3, 16, 0)
    case.accepts(REVIEWERS[0], Question())
    (clock,) = (clock for clock in case.review.clocks if clock.person is None)
    assert WorkingDays(working_days=8) == clock.due_left
    assert any("8 working days left" in tell(event).what for event in case.events)
    case.now = tokyo(4, 6, 10, 0)
    case.accepts(OWNER, QuestionAnswer(question=case.review.questions[0].by.decision))
    assert tokyo(4, 16, 17, 30) == case.review.due_at


def test_an_extension_reminds_as_many_working_days_before() -> None:
    """As the allowance does."""
    case = working(route(), 3, 10)
    until = tokyo(5, 1, 17, 30)
    case.accepts(OFFICER, Extension(until=until))
    remind, due = case.review.deadlines
    assert (tokyo(4, 21, 9, 0), until) == (remind.at, due.at)
