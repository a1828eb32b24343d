"""Separation of duties: whatever roles somebody holds, nobody judges their own."""

from __future__ import annotations

import pytest

from domain.decisions import (
    AnyContent,
    ChangeRequest,
    Escalation,
    NoOpinion,
    Question,
    Reason,
    Recusal,
    Reopening,
    Revision,
    Ruling,
    Withdrawal,
)
from domain.entitlement import ROLES
from domain.events import Accepted, Assessed, Refused
from domain.people import Grant, Role
from domain.review import evolve, waits_for
from domain.separation import JUDGING, RULES, SEALING, broken_rule, excluded
from tests.domain.builders import (
    AUTHOR,
    COUNCIL,
    ENGINEER,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    LEA,
    OFFICER,
    OUTSIDER,
    OWNER,
    REVIEWERS,
    SECOND,
    Case,
    answers,
    grant,
    opinion,
    route,
    sheet,
    text_digest,
)


def every_role(person: str) -> tuple[Grant, ...]:
    """Somebody who holds every role, in the first office of each."""
    offices = {Role.OFFICER: "officer", Role.SIGNATORY: "head", Role.COUNCIL_MEMBER: "lawyer"}
    return tuple(grant(person, role, offices.get(role)) for role in Role if role is not Role.SERVICE)


@pytest.mark.parametrize("person", [OWNER, AUTHOR, ENGINEER])
@pytest.mark.parametrize(
    "content",
    [
        sheet(),
        Reopening(principle="privacy"),
        ChangeRequest(),
        Question(),
        Escalation(),
        Ruling(ruling="decline"),
        NoOpinion(),
    ],
    ids=repr,
)
def test_who_proposes_or_works_on_it_judges_nothing(person: str, content: AnyContent) -> None:
    """Owner, author and assigned staff, whatever they were granted: a reviewer on the staff is staff."""
    case = Case(grants=(*GRANTS, *every_role(person)))
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(person, content)
    assert not any(person not in turn.not_for and turn.person is None for turn in waits_for(case.review))


def test_who_once_proposed_or_worked_on_it_does_not_judge_a_later_revision() -> None:
    """A revision that names another author, or other staff, frees nobody to judge their own work."""
    case = Case()
    assessed = next(event for event in case.events if isinstance(event, Assessed))
    subject = assessed.subject.model_copy(update={"author": OWNER, "staff": ()})
    later = evolve(case.review, assessed.model_copy(update={"subject": subject, "revision": 2, "round": 2}))
    for person, name in ((AUTHOR, "proposers_do_not_judge"), (ENGINEER, "staff_do_not_judge")):
        rule = broken_rule(later, "verdict_sheet", person)
        assert rule is not None
        assert name == rule.name
        assert person in excluded(later, "verdict_sheet")


def test_every_kind_of_judging_is_a_kind_that_there_is() -> None:
    """The rules name the kinds of decision as they are; what the owner does, or who steps aside, is no judging."""
    assert JUDGING <= set(ROLES)
    assert set(ROLES) - JUDGING == {
        "submission",
        "revision",
        "answer",
        "withdrawal",
        "recusal",
        "training_recorded",
        "discrepancy",
        "repair",
    }
    assert SEALING <= JUDGING
    assert len({each.name for each in RULES}) == len(RULES)


def test_the_owner_withdraws_and_nobody_else_does() -> None:
    """It is no judgement of others; the author writes it, and does not take it back."""
    case = Case()
    for person in (AUTHOR, OFFICER, OUTSIDER):
        assert Reason.NOT_ENTITLED is case.refusal(person, Withdrawal())
    case.accepts(OWNER, Withdrawal())
    assert case.review.closed


@pytest.mark.parametrize("content", [sheet(), Question(), Escalation()], ids=repr)
def test_reviewers_do_not_sign(content: AnyContent) -> None:
    """Whoever acted as reviewer, by a sheet or otherwise, leaves the signature to others."""
    case = Case(grants=(*GRANTS, grant(HEAD, Role.REVIEWER)))
    case.accepts(HEAD, content)
    case.say(REVIEWERS[0], sheet())
    if isinstance(content, Escalation):
        case.consult()
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(HEAD), "reason", None)
    case.time_runs_out()
    assert isinstance(case.sign(HEAD_DEPUTY), Accepted)


def test_reviewers_do_not_sign_in_a_later_round_either() -> None:
    """What somebody did in an earlier round still keeps them from signing in this one."""
    case = Case(grants=(*GRANTS, grant(HEAD, Role.REVIEWER)))
    case.accepts(HEAD, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.agree()
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(HEAD), "reason", None)


def test_advisers_and_the_officer_who_answered_do_not_sign() -> None:
    """Each would put a seal on their own work."""
    for person in (LEA, OFFICER):
        case = Case(route(council=True), grants=(*GRANTS, grant(person, Role.SIGNATORY, "head")))
        case.agree()
        case.consult("ask them")
        case.accepts(OFFICER, answers(case.review))
        assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(person), "reason", None)


def test_reviewing_and_advising_are_two_peoples_work() -> None:
    """Whoever gave a sheet gives no opinion, and whoever advised in one round does not review in the next."""
    both = grant(LEA, Role.REVIEWER)
    case = Case(route(council=True), grants=(*GRANTS, both))
    case.accepts(LEA, sheet())
    assert LEA not in {member.person for member in case.review.council.roster or ()}
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(LEA, opinion())
    other = Case(route(council=True), grants=(*GRANTS, both))
    other.agree()
    other.accepts(LEA, opinion())
    other.accepts(OFFICER, ChangeRequest())
    other.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert Reason.SEPARATION_OF_DUTIES is other.refusal(LEA, sheet())


def test_who_reviewed_or_advised_leaves_the_answers_to_another_officer() -> None:
    """Nobody answers advice on, or rules over, what they judged themselves: one person, one voice."""
    case = Case(route(council=True), grants=(*GRANTS, grant(OFFICER, Role.REVIEWER)))
    case.accepts(OFFICER, sheet())
    case.consult("ask them")
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(OFFICER, answers(case.review))
    other = Case(route(council=True), grants=(*GRANTS, grant(LEA, Role.OFFICER, "officer")))
    other.agree()
    other.consult("ask them")
    assert Reason.SEPARATION_OF_DUTIES is other.refusal(LEA, answers(other.review))


def test_nobody_signs_twice() -> None:
    """Two offices in one hand are still two people's signatures."""
    case = Case(route(signatories=2), grants=(*GRANTS, grant(HEAD, Role.SIGNATORY, "second")))
    case.agree()
    assert isinstance(case.sign(HEAD), Accepted)
    again = case.sign(HEAD)
    assert isinstance(again, Refused)
    assert again.reason is Reason.SEPARATION_OF_DUTIES
    assert all(HEAD in turn.not_for for turn in waits_for(case.review))
    assert isinstance(case.sign(SECOND), Accepted)


def test_who_is_left_out_of_a_turn_is_who_would_be_refused() -> None:
    """The list that inboxes are made by and the refusal come from the same rules."""
    case = Case(route(council=True))
    case.agree()
    case.accepts(LEA, Recusal())
    for kind in sorted(JUDGING):
        left_out = excluded(case.review, kind)
        assert [] == [person for person in left_out if broken_rule(case.review, kind, person) is None]
        assert {OWNER, AUTHOR, ENGINEER, LEA} <= set(left_out)
        assert not set(COUNCIL) - {LEA} & set(left_out)
