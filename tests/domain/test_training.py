"""Training: what is required of whom, what is on record, and the difference."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.completions import SKEW, Completion, check, problems_with, required
from domain.decisions import ChangeRequest, Extension, Reason, Revision, Ruling, Submission, TrainingRecorded
from domain.entitlement import REGISTER
from domain.events import Passed, Refused, TrainingChecked
from domain.people import Assigned, Role
from domain.review import waits_for
from domain.route import Course, Phase, Requirement
from domain.stages import Outcome, Stage
from tests.domain.builders import (
    AUTHOR,
    DAY,
    ENGINEER,
    LECTURE,
    OFFICER,
    ONLINE,
    OWNER,
    START,
    TRAINER,
    Case,
    completion,
    route,
    text_digest,
)

RULES = (Requirement(courses=(ONLINE,)), Requirement(role="engineer", courses=(LECTURE,)))
PEOPLE = st.sampled_from(["p1", "p2"])
moments = st.integers(-800, 3).map(lambda days: START + days * DAY)


@given(
    st.lists(st.builds(Assigned, person=PEOPLE, role=st.sampled_from(["engineer", "manager"])), max_size=3),
    st.lists(
        st.builds(
            Completion,
            person=PEOPLE,
            course=st.sampled_from(["online", "lecture"]),
            completed_at=moments,
            expires_at=st.none() | moments,
        ),
        max_size=6,
    ),
)
def test_gaps_are_what_is_required_and_not_held(staff: list[Assigned], done: list[Completion]) -> None:
    """For every person and course by itself: there is a gap exactly where no completion holds at that moment."""
    wanted = {(m.person, "online") for m in staff} | {(m.person, "lecture") for m in staff if m.role == "engineer"}
    held = {
        (c.person, c.course)
        for c in done
        if c.completed_at <= START
        and (c.expires_at is None or c.expires_at > START)
        and (c.course != "online" or c.completed_at > START - timedelta(days=365))
    }
    gaps = check(staff, RULES, done, START).gaps
    assert wanted - held == {(gap.person, gap.course) for gap in gaps}
    assert len(gaps) == len(wanted - held)


@given(st.permutations([completion("p1"), completion("p1", LECTURE), completion("p2", at=START - DAY)]))
def test_the_result_does_not_depend_on_the_order_of_the_register(done: list[Completion]) -> None:
    """The same records in another order are the same evidence, by digest."""
    staff = (Assigned(person="p1", role="engineer"), Assigned(person="p2", role="manager"))
    assert check(staff, RULES, sorted(done, key=str), START) == check(staff, RULES, done, START)


def gaps_at(moment: datetime, done: Completion) -> int:
    """How many courses p1 lacks then."""
    return len(check((Assigned(person="p1", role="manager"),), RULES, (done,), moment).gaps)


def test_a_completion_holds_from_its_moment_until_before_its_end() -> None:
    """Both boundaries, of the course's validity and of the record's own expiry."""
    done = Completion(person="p1", course="online", completed_at=START)
    second = timedelta(seconds=1)
    end = START + timedelta(days=365)
    assert [1, 0, 0, 1] == [gaps_at(at, done) for at in (START - second, START, end - second, end)]
    sooner = done.model_copy(update={"expires_at": START + DAY})
    assert [0, 1] == [gaps_at(at, sooner) for at in (START + DAY - second, START + DAY)]
    (gap,) = check((Assigned(person="p1", role="manager"),), RULES, (sooner,), end).gaps
    assert START + DAY == gap.expired_at


@given(moments.map(lambda moment: moment + SKEW), st.none() | moments.map(lambda moment: moment + SKEW))
def test_what_is_put_on_record_has_happened_and_held_for_a_while(at: datetime, expires_at: datetime | None) -> None:
    """Nothing is completed in the future, but for as much as clocks differ; nothing ends before it began."""
    done = Completion(person="p1", course="online", completed_at=at, expires_at=expires_at)
    wrong = {"/completed_at"} if at > START + SKEW else set()
    wrong |= {"/expires_at"} if expires_at is not None and expires_at <= at else set()
    assert wrong == {problem.pointer for problem in problems_with(done, START)}


def test_the_shortest_validity_counts() -> None:
    """Whoever needs a course for two reasons holds it as long as the stricter one says."""
    yearly = Course(id="online", title="Online", valid_for=timedelta(days=30))
    rules = (*RULES, Requirement(role="manager", courses=(yearly,)))
    (pair,) = required((Assigned(person="p1", role="manager"),), rules)
    assert timedelta(days=30) == pair[1].valid_for


def waiting() -> Case:
    """A review that waits for two courses of one person."""
    case = Case(route(training=True))
    case.agree()
    return case


def test_gaps_hold_the_review_and_name_person_and_course() -> None:
    """One person's two gaps are both named, and both must be closed."""
    case = waiting()
    assert case.review.phase is Phase.TRAINING
    (turn,) = waits_for(case.review)
    assert turn.role is Role.TRAINING_OFFICER
    assert all(f"{ENGINEER} needs {course}" in turn.what for course in ("online", "lecture"))
    case.completions.append(completion(ENGINEER))
    case.accepts(REGISTER.person, TrainingRecorded())
    assert ["lecture"] == [gap.course for gap in case.review.training.gaps] if case.review.training else False
    case.completions.append(completion(ENGINEER, LECTURE))
    case.accepts(REGISTER.person, TrainingRecorded())
    assert case.review.stage is Stage.SIGN_OFF


@pytest.mark.parametrize("party", [OWNER, AUTHOR, ENGINEER])
def test_nobody_vouches_for_the_training_of_their_own(party: str) -> None:
    """What owner, author or staff entered does not count for their proposal, and whose word it was is said; somebody
    else's does, and stands on record.
    """
    case = Case(route(training=True))
    case.completions = [completion(ENGINEER, course).model_copy(update={"by": party}) for course in (ONLINE, LECTURE)]
    case.agree()
    assert case.review.training is not None
    assert [(ENGINEER, party)] * 2 == [(gap.person, gap.by) for gap in case.review.training.gaps]
    (turn,) = waits_for(case.review)
    assert f"entered by somebody else than {party}" in turn.what
    case.completions += [each.model_copy(update={"by": TRAINER}) for each in case.completions]
    case.accepts(REGISTER.person, TrainingRecorded())
    assert case.review.stage is Stage.SIGN_OFF
    assert (TRAINER,) == case.review.training.entered_by


def test_a_route_that_asks_for_training_asks_whom() -> None:
    """A proposal that names no staff is not taken there, at first or as a revision; elsewhere it is."""
    case = Case(route(training=True), staff=(), opened=False)
    said = case.say(AUTHOR, Submission(), digest=text_digest(1))
    assert isinstance(said, Refused)
    assert (Reason.INVALID, True) == (said.reason, said.detail.endswith("name its staff."))
    assert Outcome.DECLINED is case.review.outcome
    revised = waiting()
    revised.accepts(OFFICER, ChangeRequest())
    staff, revised.staff = revised.staff, ()
    assert Reason.INVALID is revised.refusal(OWNER, Revision(proposal=text_digest(2)))
    revised.staff = staff
    revised.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert not Case(staff=()).review.closed


def test_only_the_register_says_that_training_was_recorded() -> None:
    """Nobody else's word wakes a review, and the register's only where it waits."""
    case = waiting()
    for person in (TRAINER, OWNER):
        assert Reason.NOT_ENTITLED is case.refusal(person, TrainingRecorded())
    case.trained()
    case.accepts(REGISTER.person, TrainingRecorded())
    assert Reason.OUT_OF_STAGE is case.refusal(REGISTER.person, TrainingRecorded())


def test_trained_staff_pass_at_once() -> None:
    """What is on record already is looked at when the stage begins."""
    case = Case(route(training=True))
    case.trained()
    case.agree()
    assert case.review.stage is Stage.SIGN_OFF
    assert "completed" == case.review.passed[Stage.TRAINING].result


def test_without_requirement_it_is_passed_on_record() -> None:
    """As not required, with the reason; nothing is looked up."""
    case = Case()
    case.agree()
    (passed,) = (e for e in case.events if isinstance(e, Passed) and e.stage is Stage.TRAINING)
    assert ("not_required", "The tier says so.") == (passed.result, passed.because)
    assert not any(isinstance(event, TrainingChecked) for event in case.events)


def test_overdue_training_is_extended_or_declined() -> None:
    """Nobody waives it."""
    case = waiting()
    case.time_runs_out()
    assert {Role.TRAINING_OFFICER, Role.OFFICER} == {turn.role for turn in waits_for(case.review)}
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, Ruling(ruling="proceed"))
    case.accepts(OFFICER, Extension(until=case.now + 9 * DAY))
    assert {Role.TRAINING_OFFICER} == {turn.role for turn in waits_for(case.review)}
    case.time_runs_out()
    case.accepts(OFFICER, Ruling(ruling="decline"))
    assert case.review.outcome is Outcome.DECLINED
