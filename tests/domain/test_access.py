"""Who may read what: nobody reads what is not theirs."""

from __future__ import annotations

import pytest

from domain.access import may_audit, may_read
from domain.decisions import ChangeRequest, Recusal, Revision
from domain.facts import Standing
from domain.people import Role
from domain.review import evolve
from domain.state import Review
from tests.domain.builders import (
    AUDITOR,
    AUTHOR,
    CAI,
    COUNCIL,
    DEPUTY,
    ENGINEER,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    LEA,
    NOA,
    OFFICER,
    OPERATOR,
    OUTSIDER,
    OWNER,
    REVIEWERS,
    SECOND,
    TRAINER,
    Case,
    grant,
    opinion,
    route,
    text_digest,
)

ALWAYS = {OWNER, AUTHOR, *REVIEWERS, OFFICER, DEPUTY, AUDITOR, TRAINER}
EVERYBODY = {*(each.person for each in GRANTS), ENGINEER, OUTSIDER}


def readers(case: Case) -> set[str]:
    """Who may read the review now."""
    return {person for person in EVERYBODY if case.may_read(person)}


def test_the_circle_of_readers_grows_with_the_stages() -> None:
    """The Council reads from when it is asked, the signatories of the route and their deputies from sign-off on."""
    case = Case(route(council=True))
    assert ALWAYS == readers(case)
    case.agree()
    assert ALWAYS | set(COUNCIL) == readers(case)
    case.consult()
    assert ALWAYS | set(COUNCIL) | {HEAD, HEAD_DEPUTY} == readers(case)
    case.sign(HEAD)
    assert case.review.closed
    assert ALWAYS | set(COUNCIL) | {HEAD, HEAD_DEPUTY} == readers(case)
    assert not {SECOND, OPERATOR, ENGINEER, OUTSIDER} & readers(case)


def test_before_it_is_opened() -> None:
    """Who is too close to it is not known yet, so none of those who would judge it sees it."""
    case = Case()
    case.review = Review(id=case.review.id, subject=case.review.subject)
    assert {OWNER, AUTHOR, AUDITOR, TRAINER} == readers(case)


def test_the_council_reads_nothing_that_it_is_not_asked_about() -> None:
    """Not in principle review, and not where it is never called."""
    case = Case()
    case.agree()
    case.sign(HEAD)
    assert not set(COUNCIL) & readers(case)


@pytest.mark.parametrize("another", [Role.REVIEWER, Role.AUDITOR, Role.SIGNATORY])
def test_who_stepped_aside_reads_no_more(another: Role) -> None:
    """Under no other role either, and not in the next round: the conflict is in the person."""
    more = grant(NOA, another, "head" if another is Role.SIGNATORY else None)
    case = Case(route(council=True), grants=(*GRANTS, more))
    case.agree()
    assert NOA in readers(case)
    case.accepts(NOA, Recusal())
    assert NOA not in readers(case)
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.agree()
    for person in (LEA, "ada.academic", CAI):
        case.accepts(person, opinion())
    assert NOA not in readers(case)
    assert {LEA, CAI} <= readers(case)


def test_a_grant_is_the_persons_own() -> None:
    """Somebody else's opens nothing, and without any there is nothing to read but one's own."""
    case = Case()
    assert not case.may_read(OUTSIDER)
    assert may_read(case.review, OWNER, Standing())
    assert not may_read(case.review, AUDITOR, Standing())


def test_a_review_that_was_never_opened_has_no_owner() -> None:
    """It can be read by those who read everything."""
    review = Review(id="R-1")
    case = Case(opened=False)
    assert not may_read(review, OWNER, case.standing(OWNER))
    assert may_read(review, AUDITOR, case.standing(AUDITOR))


def test_the_bytes_and_the_history_are_the_auditors_and_officers() -> None:
    """Whoever checks the record sees all of it; nobody else does."""
    assert {AUDITOR, OFFICER, DEPUTY} == {person for person in EVERYBODY if may_audit(person, GRANTS)}


def test_reading_asks_the_state_that_the_record_tells() -> None:
    """At every entry of a whole review somebody reads it, and the operator and the outsider never do."""
    case = Case(route(council=True))
    case.agree()
    case.consult("ask them")
    review = Review(id="R-1")
    for event in case.events:
        review = evolve(review, event)
        assert may_read(review, AUDITOR, case.standing(AUDITOR))
        assert not may_read(review, OPERATOR, case.standing(OPERATOR))
        assert not may_read(review, OUTSIDER, case.standing(OUTSIDER))
