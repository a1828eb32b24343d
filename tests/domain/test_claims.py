"""Claims: of several people one says "I do it", gives it back, or is named by the officer; nothing is held for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from domain.decisions import (
    Act,
    ChangeRequest,
    Claim,
    Conflict,
    Declining,
    Escalation,
    Extension,
    Question,
    QuestionAnswer,
    Reason,
    Reassignment,
    RegistryChanged,
    Release,
    Reopening,
    Revision,
    Ruling,
)
from domain.entitlement import REGISTRY
from domain.events import Accepted, Began, FellDue, Refused, Unclaimed
from domain.narrative import tell
from domain.people import Grant, Role
from domain.review import concerned_by, fold, holds, waits_for
from domain.route import Route, SignatoryStep
from domain.sign_off import basis
from domain.stages import Stage
from domain.turns import Turn, falls_to
from tests.domain.builders import (
    DAY,
    DEPUTY,
    ENGINEER,
    GRANTS,
    HEAD,
    HOUR,
    JUN,
    KEI,
    MAO,
    OFFICER,
    OUTSIDER,
    OWNER,
    PRINCIPLES,
    REVIEWERS,
    RIN,
    SECOND,
    UNIT,
    Case,
    grant,
    noticed,
    route,
    sheet,
    text_digest,
)

SHEET = Claim(act="verdict_sheet")
SIGNATURE = Claim(act="signature")
RULING = Claim(act="ruling")
SECOND_OFFICER = "oki.officer"
HEADS = (HEAD, "cy.head", "du.head")


def several(**more: object) -> Case:
    """A case that any of four reviewers can judge, and one is needed."""
    return Case(route(needed=1, panel=3), **more)  # type: ignore[arg-type]  # of a case's types


def two_heads() -> Case:
    """A case before sign-off, where two of three heads sign, and then the second office."""
    its = route(signatories=2)
    step = SignatoryStep(office="head", title="Head", deputy="head_deputy", meaning="approves", needed=2)
    its = its.model_copy(update={"signatories": (step, its.signatories[1])})
    case = Case(its, grants=(*GRANTS, *(grant(person, Role.SIGNATORY, "head") for person in HEADS[1:])))
    case.agree()
    return case


def undecided() -> Case:
    """A case that two officers could rule on."""
    case = Case(route(needed=2, panel=2), grants=(*GRANTS, grant(SECOND_OFFICER, Role.OFFICER, "officer")))
    case.agree_by(RIN)
    case.accepts(JUN, sheet("privacy"))
    return case


def of(case: Case, role: Role) -> Turn:
    """The first turn of this role."""
    return next(turn for turn in waits_for(case.review) if turn.role is role)


def able(case: Case, role: Role = Role.REVIEWER) -> set[str]:
    """Those in whose inbox it is."""
    return {holder.actor for holder in case.holders() if falls_to(of(case, role), holder)}


def claimants(case: Case) -> list[str]:
    """Who holds a claim, each with a time of their own, and nobody else has one."""
    held = [claim.person for claim in case.review.claims]
    assert sorted(held) == sorted(c.person for c in case.review.clocks if c.person is not None and c.question is None)
    return held


def refused(case: Case, person: str, content: object, reason: Reason) -> str:
    """The sentence with which this is refused, for this reason."""
    said = case.say(person, content)  # type: ignore[arg-type]  # from a table of contents
    assert isinstance(said, Refused), said
    assert said.reason is reason, said
    return said.detail


# Claiming.


def test_what_one_has_claimed_is_theirs_alone() -> None:
    """It leaves the inboxes of the others, who are refused it and told by whom; until it is done."""
    case = several()
    assert set(REVIEWERS) == able(case)
    case.accepts(JUN, SHEET)
    turn = of(case, Role.REVIEWER)
    assert ((JUN,), True, {JUN}) == (turn.claimed_by, turn.taken, able(case))
    assert refused(case, RIN, sheet(), Reason.CLAIMED) == (
        f"{JUN} claimed it, so it is theirs to do. They can release it, and the officer can assign it to another."
    )
    refused(case, RIN, SHEET, Reason.CLAIMED)
    refused(case, JUN, SHEET, Reason.ALREADY_GIVEN)
    case.accepts(JUN, sheet())
    assert Stage.SIGN_OFF is case.review.stage
    assert [] == claimants(case)


def test_there_are_as_many_places_as_verdicts_are_needed() -> None:
    """While one is free it stays with everybody; every voice that agrees takes one, and one that does not leaves it."""
    case = Case(route(needed=2, panel=3))
    case.accepts(RIN, SHEET)
    assert ((RIN,), False) == (of(case, Role.REVIEWER).claimed_by, of(case, Role.REVIEWER).taken)
    assert set(REVIEWERS) == able(case)
    case.accepts(JUN, SHEET)
    assert {RIN, JUN} == able(case)
    assert f"{RIN} and {JUN} claimed it" in refused(case, KEI, sheet(), Reason.CLAIMED)
    case.accepts(RIN, sheet("privacy"))
    assert {JUN, KEI, MAO} == able(case)
    assert [JUN] == claimants(case)
    case.accepts(KEI, sheet())
    assert {JUN} == able(case), "its seat is kept"
    refused(case, MAO, sheet(), Reason.CLAIMED)
    case.accepts(JUN, sheet())
    assert Stage.SIGN_OFF is case.review.stage


def test_nobody_else_is_kept_from_anything_else() -> None:
    """A question, a request for changes, stepping aside: what is claimed is the verdict."""
    case = several()
    case.accepts(JUN, SHEET)
    case.accepts(RIN, Question())
    case.accepts(OFFICER, Question())
    case.accepts(MAO, Conflict())
    case.accepts(RIN, ChangeRequest())


def test_a_signature_is_claimed_office_by_office() -> None:
    """Two of three: the claim of one outlives the signature of the other, and not the office's turn."""
    case = two_heads()
    first, second, third = HEADS
    case.accepts(second, SIGNATURE)
    assert set(HEADS) == able(case, Role.SIGNATORY)
    case.accepts(third, SIGNATURE)
    assert {second, third} == able(case, Role.SIGNATORY)
    refused(case, first, Declining(basis=basis(case.review)), Reason.CLAIMED)
    assert Reason.CLAIMED is getattr(case.sign(first), "reason", None)
    assert Reason.OUT_OF_STAGE is case.refusal(SECOND, SIGNATURE)
    assert isinstance(case.sign(third), Accepted)
    assert [second] == claimants(case)
    assert Reason.CLAIMED is getattr(case.sign(first), "reason", None)
    assert isinstance(case.sign(second), Accepted)
    case.accepts(SECOND, SIGNATURE)
    assert [SECOND] == claimants(case)


def test_a_ruling_has_one_place() -> None:
    """Of two officers one rules."""
    case = undecided()
    assert Reason.OUT_OF_STAGE is case.refusal(KEI, SHEET)
    case.accepts(SECOND_OFFICER, RULING)
    assert {SECOND_OFFICER} == able(case, Role.OFFICER)
    refused(case, OFFICER, Ruling(ruling="proceed"), Reason.CLAIMED)
    case.accepts(OFFICER, Extension(until=case.now + 100 * DAY))
    case.accepts(SECOND_OFFICER, Ruling(ruling="proceed"))
    assert [] == claimants(case)


@pytest.mark.parametrize("act", ["ruling", "signature"])
def test_what_nobody_is_asked_for_is_not_claimed(act: Act) -> None:
    """An officer's ruling while the reviewers are asked; a signature before sign-off."""
    case = several()
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER if act == "ruling" else HEAD, Claim(act=act))


def test_what_somebody_is_asked_by_name_needs_no_claim_and_heeds_none() -> None:
    """Whoever has to complete their verdicts, after a revision, does so whoever claimed the rest."""
    case = Case(route(needed=2, panel=3), inputs=lambda _: dict.fromkeys(PRINCIPLES, "a" * 64))
    case.accepts(RIN, sheet())
    case.accepts(JUN, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.accepts(JUN, SHEET)
    case.accepts(KEI, Reopening(principle="privacy"))
    case.accepts(KEI, SHEET)
    refused(case, MAO, sheet(), Reason.CLAIMED)
    refused(case, RIN, SHEET, Reason.ALREADY_GIVEN)
    case.accepts(RIN, sheet(on=("privacy",)))
    assert [JUN, KEI] == claimants(case)


@pytest.mark.parametrize(
    ("person", "grants", "reason"),
    [
        (OWNER, (grant(OWNER, Role.REVIEWER),), Reason.SEPARATION_OF_DUTIES),
        (ENGINEER, (grant(ENGINEER, Role.REVIEWER),), Reason.SEPARATION_OF_DUTIES),
        (OFFICER, (), Reason.NOT_ENTITLED),
        (OUTSIDER, (), Reason.NOT_ENTITLED),
    ],
)
def test_nobody_claims_what_they_may_not_do(person: str, grants: tuple[Grant, ...], reason: Reason) -> None:
    """Nor is assigned it: the rules are those of the act itself."""
    case = several(grants=(*GRANTS, *grants))
    under = grant(person, Role.OFFICER, "officer") if person == OFFICER else None
    assert reason is case.refusal(person, SHEET, under=under)
    if person != OFFICER:
        refused(case, OFFICER, Reassignment(act="verdict_sheet", person=person), Reason.INVALID)


def test_somebody_of_the_proposals_own_unit_claims_nothing() -> None:
    """And their claim ends to count when they come to it."""
    case = several()
    case.units[RIN] = UNIT
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, SHEET)
    refused(case, OFFICER, Reassignment(act="verdict_sheet", person=RIN), Reason.INVALID)


def test_a_claim_is_no_voice() -> None:
    """Whoever claimed and gave it back has judged nothing, and may sign; whoever gave them the role may judge."""
    lent = grant(HEAD, Role.REVIEWER).model_copy(update={"by": KEI})
    case = several(grants=(*GRANTS, lent))
    case.accepts(HEAD, SHEET)
    assert ((), (), ()) == (case.review.heard, case.review.reviewed_by, case.review.grantors)
    case.accepts(HEAD, Release())
    case.accepts(KEI, sheet())
    assert isinstance(case.sign(HEAD), Accepted)


# The end of a claim.


def test_a_claim_runs_out() -> None:
    """After as long as a wait goes without a reminder; then it is everybody's again, on record."""
    case = several()
    case.now += DAY
    case.accepts(JUN, SHEET)
    began = next(event for event in reversed(case.events) if isinstance(event, Began))
    assert (JUN, None, case.now + 5 * DAY) == (began.person, began.remind_at, began.due_at)
    fell_due = case.time_runs_out(JUN)[-1]
    assert isinstance(fell_due, FellDue)
    assert (JUN, (Role.REVIEWER, None), None) == (fell_due.person, fell_due.next_in_line, fell_due.again_at)
    assert JUN in tell(fell_due).what
    assert [] == claimants(case)
    assert not case.review.overdue
    assert set(REVIEWERS) == able(case)
    case.accepts(JUN, SHEET)


def test_a_claim_gives_no_more_time_than_there_is() -> None:
    """It runs out with the wait, at the latest; nothing is held when that is over, and a deputy is not kept waiting."""
    case = two_heads()
    due_at = case.review.due_at
    assert due_at is not None
    case.now = due_at - DAY
    case.accepts(HEAD, SIGNATURE)
    clock = case.review.clock_of(HEAD)
    assert clock is not None
    assert due_at == clock.due_at == case.review.due_at
    case.time_runs_out()
    assert case.review.overdue
    case.now += HOUR
    assert Reason.LATE is case.refusal(HEADS[1], SIGNATURE)
    assert [] == claimants(case)
    refused(case, OFFICER, Reassignment(act="signature", person=HEADS[1]), Reason.LATE)
    case.accepts(OFFICER, Extension(until=case.now + 30 * DAY))
    case.accepts(OFFICER, Reassignment(act="signature", person=HEADS[1]))


def test_an_extension_is_of_the_wait_and_not_of_a_claim() -> None:
    """Somebody who needs longer is assigned it anew; an extension for all gives their claim no more time."""
    case = several()
    case.accepts(JUN, SHEET)
    clock = case.review.clock_of(JUN)
    assert Reason.UNKNOWN_REFERENCE is case.refusal(OFFICER, Extension(until=case.now + 90 * DAY, person=JUN))
    case.accepts(OFFICER, Extension(until=case.now + 90 * DAY))
    assert clock == case.review.clock_of(JUN)
    case.now += DAY
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=JUN))
    renewed = case.review.clock_of(JUN)
    assert renewed is not None
    assert case.now + 5 * DAY == renewed.due_at
    assert [JUN] == claimants(case)


def test_a_claims_time_stands_still_while_the_owner_answers() -> None:
    """Whoever claimed it, and asked, loses nothing by it."""
    case = several()
    case.accepts(JUN, SHEET)
    case.accepts(JUN, Question())
    case.now += 10 * DAY
    clock = case.review.clock_of(JUN)
    assert clock is not None
    assert (None, 5 * DAY) == (clock.due_at, clock.due_left)
    case.accepts(OWNER, QuestionAnswer(question=case.review.questions[0].by.decision))
    clock = case.review.clock_of(JUN)
    assert clock is not None
    assert case.now + 5 * DAY == clock.due_at
    assert [JUN] == claimants(case)


@pytest.mark.parametrize(
    "end",
    [
        lambda case: case.accepts(JUN, Release()),
        lambda case: case.accepts(JUN, Conflict()),
        lambda case: case.accepts(RIN, ChangeRequest()),
        lambda case: case.accepts(OFFICER, Reassignment(act="verdict_sheet", instead_of=JUN)),
    ],
    ids=["released", "stepped aside", "changes asked for", "freed by the officer"],
)
def test_a_claim_ends(end: Callable[[Case], None]) -> None:
    """And its time with it: nothing is left that could fall due."""
    case = several()
    case.accepts(JUN, SHEET)
    end(case)
    assert [] == claimants(case)
    assert not any(deadline.person == JUN for deadline in case.review.deadlines)
    if case.review.changes is None:
        assert set(REVIEWERS) - set(case.review.aside) == able(case)
    refused_for = Reason.CONFLICT_OF_INTEREST if JUN in case.review.aside else Reason.UNKNOWN_REFERENCE
    if JUN not in case.review.aside:
        assert refused_for is case.refusal(JUN, Release())


def test_a_claim_ends_when_the_review_goes_elsewhere() -> None:
    """To the Council, out of sign-off: a claim to a signature is one to this signature."""
    case = two_heads()
    case.accepts(HEAD, SIGNATURE)
    case.accepts(OFFICER, Escalation())
    assert Stage.COUNCIL is case.review.stage
    assert [] == claimants(case)


def test_an_assignment_by_somebody_who_steps_aside_ends() -> None:
    """What they said counts no more."""
    case = several()
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=JUN))
    case.accepts(OFFICER, Conflict())
    assert [] == claimants(case)


@pytest.mark.parametrize("how", ["disabled", "role", "unit"])
def test_who_can_act_no_more_holds_nobody_up(how: str) -> None:
    """Disabled, without the role, or come to the proposal's unit: another does it, or claims it in their place."""
    for content in (sheet(), SHEET):
        case = several()
        case.accepts(JUN, SHEET)
        loses(case, JUN, how)
        case.accepts(RIN, content)
        assert {RIN} == able(case) if content is SHEET else case.review.stage is Stage.SIGN_OFF


@pytest.mark.parametrize("how", ["disabled", "role", "unit"])
def test_the_claim_of_who_can_act_no_more_ends_on_record(how: str) -> None:
    """As soon as the registry tells the review; the turn is in the others' inboxes, and they hear of it."""
    case = several()
    case.accepts(JUN, SHEET)
    assert not concerned_by(case.review, case.holders(), case.facts().units)
    loses(case, JUN, how)
    assert concerned_by(case.review, case.holders(), case.facts().units)
    before = case.review
    case.accepts(REGISTRY.person, RegistryChanged())
    ended = case.events[-1]
    assert isinstance(ended, Unclaimed)
    assert f"The claim of {JUN} is ended: what they claimed falls to them no more." == tell(ended).what
    assert [] == claimants(case)
    assert {RIN, KEI, MAO} == able(case)
    assert [Role.REVIEWER] == [notice.role for notice in noticed(before, case.review, (ended,))]
    assert not concerned_by(case.review, case.holders(), case.facts().units)
    assert holds(before, None, ended)
    assert not holds(case.review, None, ended), "there is none any more"
    assert case.review == fold(case.review.id, case.events)


def test_the_claim_of_who_is_away_stays() -> None:
    """Whoever they left their role to does it."""
    case = several()
    case.accepts(JUN, SHEET)
    case.delegates(JUN, MAO, Role.REVIEWER)
    case.accepts(REGISTRY.person, RegistryChanged())
    assert [JUN] == claimants(case)


def loses(case: Case, person: str, how: str) -> None:
    """Somebody can judge the proposal no more."""
    match how:
        case "disabled":
            case.disabled.add(person)
        case "role":
            case.grants.remove(grant(person, Role.REVIEWER))
        case _:
            case.units[person] = UNIT


# The officer.


def test_the_officer_has_it_done_by_somebody_else() -> None:
    """In place of whoever claimed it, with a reason, told by name."""
    case = several()
    case.accepts(JUN, SHEET)
    refused(case, OFFICER, Reassignment(act="verdict_sheet", person=KEI), Reason.CLAIMED)
    refused(case, OFFICER, Reassignment(act="verdict_sheet", person=KEI, instead_of=MAO), Reason.UNKNOWN_REFERENCE)
    said = case.say(OFFICER, Reassignment(act="verdict_sheet", person=KEI, instead_of=JUN))
    assert isinstance(said, Accepted)
    assert f"Assigned a verdict sheet to {KEI} in place of {JUN}." == tell(said).what
    assert [KEI] == claimants(case)
    assert {KEI} == able(case)
    refused(case, JUN, sheet(), Reason.CLAIMED)
    refused(case, JUN, Release(), Reason.UNKNOWN_REFERENCE)
    case.accepts(KEI, sheet())


def test_an_assignment_can_be_given_back() -> None:
    """Nobody has to."""
    case = several()
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=KEI))
    case.accepts(KEI, Release())
    assert set(REVIEWERS) == able(case)


def test_only_the_officer_assigns_and_never_to_themselves() -> None:
    """Who assigns has steered how it is judged, and judges it in no other role."""
    case = several(grants=(*GRANTS, grant(OFFICER, Role.REVIEWER)))
    assert Reason.NOT_ENTITLED is case.refusal(RIN, Reassignment(act="verdict_sheet", person=KEI))
    refused(case, OFFICER, Reassignment(act="verdict_sheet", person=OFFICER), Reason.INVALID)
    assert Reason.NOT_ENTITLED is case.refusal(DEPUTY, Reassignment(act="verdict_sheet", person=KEI))
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=KEI))
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(OFFICER, sheet())
    case.units[OFFICER] = UNIT
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(OFFICER, Reassignment(act="verdict_sheet", instead_of=KEI))


def test_an_assignment_names_somebody_to_whom_it_falls() -> None:
    """By the route's rule of people or unit, and by what was heard of them."""
    case = Case(reviewed_by(JUN, KEI))
    refused(case, OFFICER, Reassignment(act="verdict_sheet", person=RIN), Reason.INVALID)
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=KEI))
    other = Case(route(needed=2, panel=3))
    other.accepts(RIN, sheet())
    refused(other, OFFICER, Reassignment(act="verdict_sheet", person=RIN), Reason.INVALID)
    refused(other, OFFICER, Reassignment(act="signature", person=HEAD), Reason.OUT_OF_STAGE)


def test_an_assignment_that_names_nobody_is_none() -> None:
    """Neither who does it nor whose claim it ends."""
    with pytest.raises(ValidationError):
        Reassignment(act="ruling")


# In another's place.


def test_a_delegate_claims_with_the_givers_voice() -> None:
    """Both names are on record; what one claimed the other can do, or give back."""
    case = several()
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    said = case.say(OUTSIDER, SHEET)
    assert isinstance(said, Accepted)
    assert (OUTSIDER, RIN) == (tell(said).who, tell(said).for_person)
    assert said.envelope.meaning.startswith(f"for {RIN}: ")
    assert [RIN] == claimants(case)
    assert {OUTSIDER} == able(case)
    refused(case, JUN, sheet(), Reason.CLAIMED)
    refused(case, RIN, sheet(), Reason.ABSENT)
    case.delegations.clear()
    assert {RIN} == able(case)
    case.accepts(RIN, Release())
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    case.accepts(OFFICER, Reassignment(act="verdict_sheet", person=RIN))
    assert {OUTSIDER} == able(case)
    case.accepts(OUTSIDER, sheet())
    assert [] == claimants(case)


def test_a_delegate_gives_back_what_was_claimed_with_that_voice() -> None:
    """And not with their own, which holds nothing."""
    case = several()
    case.accepts(RIN, SHEET)
    case.delegates(RIN, JUN, Role.REVIEWER)
    said = case.say(JUN, Release())
    assert isinstance(said, Accepted)
    assert RIN == tell(said).for_person
    assert [] == claimants(case)


def reviewed_by(*people: str) -> Route:
    """A route on which these people review, and one is needed."""
    its = route(needed=1, panel=2)
    return its.model_copy(update={"reviewers": its.reviewers.model_copy(update={"people": people})})
