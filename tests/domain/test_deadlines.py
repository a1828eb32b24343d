"""Deadlines remind, then escalate to the next in line; time alone decides nothing."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commands import FallDue
from domain.deadlines import due_before, next_deadline
from domain.decisions import ChangeRequest, Extension, NoOpinion, Question, Reason
from domain.events import Accepted, Began, FellDue, Reminded
from domain.narrative import tell
from domain.people import Role
from domain.policy import Phase
from domain.review import waits_for
from domain.state import Deadline
from tests.domain.builders import (
    DAY,
    DEPUTY,
    HEAD,
    HOUR,
    LEA,
    OFFICER,
    REVIEWERS,
    Case,
    answers,
    opinion,
    route,
    sheet,
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


@pytest.mark.parametrize("phase", Phase)
def test_every_wait_reminds_and_then_escalates(phase: Phase) -> None:
    """At the moments that the route allows, once each; after the second the next in line has a turn."""
    case = waiting(phase)
    allowance = case.route.allowances[phase]
    remind, due = sorted(case.review.deadlines, key=lambda deadline: deadline.at)
    began = case.review.phase_since
    assert began is not None
    assert [began + allowance.remind_after, began + allowance.due_after] == [remind.at, due.at]
    assert remind == next_deadline(case.review)
    before = waits_for(case.review)
    reminded, fell_due = case.time_runs_out()
    assert isinstance(reminded, Reminded)
    assert isinstance(fell_due, FellDue)
    assert NEXT[phase] == fell_due.next_in_line
    assert (True, (), None) == (case.review.overdue, case.review.deadlines, next_deadline(case.review))
    assert any((turn.role, turn.office) == NEXT[phase] for turn in waits_for(case.review))
    assert {turn.role for turn in before} <= {turn.role for turn in waits_for(case.review)} or phase is Phase.CONSULTING


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
        assert [turn.model_copy(update={"due_at": until}) for turn in turns] == list(waits_for(review))
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
    deadlines = tuple(Deadline(id=f"d-{n}-due", kind="due", at=case.now + o) for n, o in enumerate(offsets))
    found = due_before(case.review.model_copy(update={"deadlines": deadlines}), case.now + moment)
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


def test_nobodys_turn_is_blocked_by_a_question_to_the_owner() -> None:
    """A reviewer's question moves no deadline."""
    case = Case(route(needed=2, panel=3))
    before = case.review.deadlines
    case.accepts(REVIEWERS[0], Question())
    case.accepts(REVIEWERS[1], sheet())
    assert before == case.review.deadlines
    assert DEPUTY not in {turn.person for turn in waits_for(case.review)}
