"""Which roles entitle to which decisions, and under which grant somebody acts."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions import AnyContent, ChangeRequest, Content, Question, Reason, Submission, Withdrawal
from domain.drafts import Draft, seal
from domain.entitlement import REGISTER, ROLES, acting_grant, entitles, meaning
from domain.events import Accepted
from domain.facts import Standing
from domain.people import Grant, Role
from domain.stages import Outcome
from tests.domain.builders import (
    AUTHOR,
    DEPUTY,
    GRANTS,
    HEAD,
    OFFICER,
    OUTSIDER,
    OWNER,
    PACK,
    REVIEWERS,
    START,
    Case,
    grant,
    route,
    sheet,
    text_digest,
)

grants = st.builds(
    grant,
    st.sampled_from([OWNER, AUTHOR, OUTSIDER, REVIEWERS[0]]),
    st.sampled_from(Role),
    st.sampled_from([None, "officer", "deputy_officer", "head", "lawyer"]),
)


def test_every_kind_of_decision_has_its_roles() -> None:
    """No kind can be said that nobody is entitled to, and none is entitled to that can't be said."""
    union, *_ = typing.get_args(AnyContent)
    assert {content.model_fields["kind"].default for content in typing.get_args(union)} == set(ROLES)
    assert len(typing.get_args(union)) == len(Content.__subclasses__())


@given(grants, st.sampled_from(sorted(ROLES)), st.booleans())
def test_a_role_that_is_not_named_entitles_to_nothing(some: Grant, kind: str, advanced: bool) -> None:
    """In any stage, a grant entitles only to what its role is named for."""
    case = Case()
    if advanced:
        case.agree()
    if entitles(case.review, kind, some):
        assert some.role in ROLES[kind]
        assert some.role is not Role.OWNER or kind == "submission" or some.person in (OWNER, AUTHOR)
        assert some.office == "officer" or some.role is not Role.OFFICER or kind == "conflict"


@given(st.lists(grants, max_size=5), st.sampled_from(sorted(ROLES)))
def test_somebody_acts_under_a_grant_that_entitles_them_if_they_have_one(held: list[Grant], kind: str) -> None:
    """In whatever order the register lists their grants; or else under one whose refusal tells something."""
    review = Case().review
    chosen = acting_grant(review, kind, held, OWNER)
    fitting = [some for some in held if some.role in ROLES[kind]]
    assert (chosen is None) is (not fitting)
    if chosen is not None:
        assert entitles(review, kind, chosen) or not any(entitles(review, kind, some) for some in fitting)
        assert meaning(review, kind, chosen, chosen.person)


def test_a_grant_must_be_in_force_when_the_decision_is_applied() -> None:
    """One that was withdrawn after the decision was stored entitles no more, even if another one would."""
    case = Case()
    envelope = case.envelope(REVIEWERS[0], sheet())
    case.grants = [g for g in case.grants if g.person != REVIEWERS[0]]
    assert Reason.NOT_ENTITLED is getattr(case.take(envelope), "reason", None)


def test_somebody_elses_grant_is_worth_nothing() -> None:
    """The grant must be the person's own, and of the role that the envelope names."""
    case = Case()
    assert Reason.NOT_ENTITLED is getattr(
        case.say(OUTSIDER, sheet(), under=grant(REVIEWERS[0], Role.REVIEWER)), "reason", None
    )
    envelope = case.envelope(OFFICER, ChangeRequest()).model_copy(update={"role": Role.REVIEWER})
    assert Reason.NOT_ENTITLED is getattr(case.take(envelope), "reason", None)


@pytest.mark.parametrize("content", [Question(), ChangeRequest()], ids=repr)
def test_a_deputy_acts_once_the_wait_is_overdue(content: Question | ChangeRequest) -> None:
    """And no more when the wait was extended or is over."""
    case = Case()
    assert Reason.NOT_ENTITLED is case.refusal(DEPUTY, content)
    case.time_runs_out()
    case.accepts(DEPUTY, content)


def test_without_a_deputy_the_office_itself_stays_next_in_line() -> None:
    """Nothing is let through for want of one."""
    case = Case(route(deputies=False))
    case.agree()
    case.time_runs_out()
    assert isinstance(case.sign(HEAD), Accepted)


def test_a_submission_is_the_owners_or_the_authors() -> None:
    """One by anybody else, or that can't be assessed, opens nothing and closes the review, with the reason."""
    for person in (OUTSIDER, REVIEWERS[0]):
        case = Case(opened=False, grants=(*GRANTS, grant(OUTSIDER, Role.OWNER)))
        assert Reason.NOT_ENTITLED is case.refusal(person, Submission(), digest=text_digest(1))
        assert (Outcome.DECLINED, None) == (case.review.outcome, case.review.stage)
    assert isinstance(Case(author=OWNER).review.round, int)


def test_a_review_is_opened_once_and_first() -> None:
    """Nothing comes before the submission, and no second one after it."""
    case = Case(opened=False)
    assert Reason.OUT_OF_STAGE is case.refusal(OWNER, Withdrawal())
    case.accepts(AUTHOR, Submission(), digest=text_digest(1))
    assert Reason.ALREADY_GIVEN is case.refusal(AUTHOR, Submission(), digest=text_digest(1))


def test_without_a_fitting_role_there_is_no_envelope() -> None:
    """The draft of somebody without any role for it is not sealed; the register's role is granted to nobody."""
    case = Case()
    draft = Draft(
        decision_id=case.envelope(OWNER, Question()).decision_id,
        review="R-1",
        person=OUTSIDER,
        digest=text_digest(1),
        content=Question(),
        reason="why?",
    )
    assert seal(draft, case.review, PACK, Standing(), START) is None
    assert REGISTER not in GRANTS
