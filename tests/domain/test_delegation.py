"""Delegation: an absence routes to the delegate; giver and delegate have one voice between them,
and both stand on record.
"""

from __future__ import annotations

import pytest

from domain.decisions import ChangeRequest, Question, QuestionAnswer, Reason, Revision, Submission, Withdrawal
from domain.entitlement import meaning
from domain.events import Accepted, Refused
from domain.narrative import tell
from domain.people import Assigned, Role
from domain.review import waits_for
from domain.turns import falls_to
from tests.domain.builders import (
    DAY,
    ENGINEER,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    JUN,
    KEI,
    MAO,
    OFFICER,
    OUTSIDER,
    OWNER,
    RIN,
    SECOND,
    UNIT,
    Case,
    grant,
    route,
    sheet,
    text_digest,
)


def test_the_delegate_acts_and_the_giver_does_not() -> None:
    """While it is in force; after it, the giver acts again and the delegate no more."""
    case = Case(route(needed=2, panel=3))
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    assert Reason.ABSENT is case.refusal(RIN, sheet())
    accepted = case.say(OUTSIDER, sheet())
    assert isinstance(accepted, Accepted)
    assert f"for {RIN}: gives a verdict on each principle of the sheet" == accepted.envelope.meaning
    told = tell(accepted)
    assert (OUTSIDER, RIN) == (told.who, told.for_person)
    assert told.what.startswith(f"In place of {RIN}: Gave a verdict sheet")
    case.now += 11 * DAY
    assert Reason.NOT_ENTITLED is case.refusal(OUTSIDER, Question())
    case.accepts(RIN, Question())


def test_giver_and_delegate_have_one_voice() -> None:
    """What one said for the other, the other has said; and whoever lent their voice speaks in no second name."""
    case = Case(route(needed=3, panel=4))
    case.delegates(RIN, JUN, Role.REVIEWER)
    case.accepts(JUN, sheet())
    assert JUN == case.review.sheets[0].by.person
    assert RIN not in {seal.by.person for seal in case.review.sheets}, "by their own grant first"
    said = case.say(JUN, sheet())
    assert isinstance(said, Refused)
    assert Reason.ALREADY_GIVEN is said.reason

    other = Case(route(needed=3, panel=4))
    other.delegates(RIN, OUTSIDER, Role.REVIEWER)
    other.accepts(OUTSIDER, sheet())
    other.delegations.clear()
    assert Reason.ALREADY_GIVEN is other.refusal(RIN, sheet())
    other.grants.append(grant(OUTSIDER, Role.REVIEWER))
    assert Reason.SEPARATION_OF_DUTIES is other.refusal(OUTSIDER, sheet())
    other.delegates(KEI, OUTSIDER, Role.REVIEWER)
    other.grants.pop()
    assert Reason.SEPARATION_OF_DUTIES is other.refusal(OUTSIDER, sheet())
    assert {RIN, OUTSIDER} <= set(other.review.reviewed_by)


@pytest.mark.parametrize("wrong", ["of an owner", "of the unit's own", "chosen by a party"])
def test_one_more_loan_keeps_nobody_from_judging(wrong: str) -> None:
    """They act under the one that counts, in whatever order the loans stand."""
    case = Case(route(needed=2, panel=3))
    by = None
    giver = OWNER if wrong == "of an owner" else KEI
    if wrong == "of the unit's own":
        case.units[giver] = UNIT
    elif wrong == "chosen by a party":
        by = OWNER
    case.grants = [grant(giver, Role.REVIEWER), *(one for one in case.grants if one.person != giver)]
    case.delegates(giver, OUTSIDER, Role.REVIEWER, by=by)
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    accepted = case.say(OUTSIDER, sheet())
    assert isinstance(accepted, Accepted), accepted
    assert accepted.mandate is not None
    assert RIN == accepted.mandate.for_person


def test_a_delegate_answers_for_a_proposal_and_does_not_submit_it() -> None:
    """What is put before reviewers first is its owner's or author's to say, whoever acts for them later."""
    case = Case(opened=False)
    case.delegates(OWNER, OUTSIDER, Role.OWNER)
    refused = case.say(OUTSIDER, Submission(), digest=text_digest(1))
    assert isinstance(refused, Refused)
    assert (Reason.NOT_ENTITLED, "Only its owner or its author submits a proposal.") == (refused.reason, refused.detail)


def test_neither_giver_nor_delegate_signs_what_one_of_them_reviewed() -> None:
    """Whoever acted under another's grant took part, and so did the other."""
    for signatory in (RIN, OUTSIDER):
        case = Case(grants=(*GRANTS, grant(signatory, Role.SIGNATORY, "head")))
        case.delegates(RIN, OUTSIDER, Role.REVIEWER)
        case.accepts(OUTSIDER, sheet())
        assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(signatory), "reason", None)


@pytest.mark.parametrize("taker", [OWNER, ENGINEER, KEI])
def test_nobody_acts_in_anothers_place_whom_a_rule_excludes(taker: str) -> None:
    """The owner, the staff, and whoever reviewed: the signature waits for somebody else."""
    case = Case()
    case.accepts(KEI, sheet())
    case.delegates(HEAD, taker, Role.SIGNATORY)
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(taker), "reason", None)
    case.time_runs_out()
    assert isinstance(case.sign(HEAD_DEPUTY), Accepted)


@pytest.mark.parametrize("party", [OWNER, ENGINEER, KEI])
def test_a_delegate_chosen_by_who_takes_part_does_not_judge(party: str) -> None:
    """An operator may see to an absence, but not to who judges what they have a part in; the giver may."""
    case = Case(route(needed=2, panel=3))
    case.accepts(KEI, sheet())
    case.delegates(RIN, OUTSIDER, Role.REVIEWER, by=party)
    said = case.say(OUTSIDER, sheet())
    assert isinstance(said, Refused)
    assert "given, or lent, to you by somebody who takes part" in said.detail
    (turn,) = (turn for turn in waits_for(case.review) if "verdict_sheet" in turn.kinds)
    assert {JUN, MAO} == {holder.actor for holder in case.holders() if falls_to(turn, holder)}
    case.delegations.clear()
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    case.accepts(OUTSIDER, sheet())


def test_whoever_chose_a_delegate_who_judged_does_not_judge() -> None:
    """As whoever gave a role that was acted under."""
    operator = "an.operator"
    case = Case(route(needed=2, panel=3), grants=(*GRANTS, grant(operator, Role.REVIEWER)))
    case.delegates(RIN, OUTSIDER, Role.REVIEWER, by=operator)
    case.accepts(OUTSIDER, sheet())
    assert operator in case.review.grantors
    said = case.say(operator, sheet())
    assert isinstance(said, Refused)
    assert "or chose them to act for another" in said.detail


def test_nobody_lends_what_a_rule_forbids_themselves() -> None:
    """A delegate of somebody on the staff, or of the proposal's own unit, is no way around it;
    the sentence says of whom.
    """
    case = Case(staff=(Assigned(person=RIN, role="engineer"),))
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    said = case.say(OUTSIDER, sheet())
    assert isinstance(said, Refused)
    assert Reason.SEPARATION_OF_DUTIES is said.reason
    assert said.detail.startswith(f"Of {RIN}, in whose place you act: ")
    case.units[JUN] = UNIT
    case.delegates(JUN, OUTSIDER, Role.REVIEWER)
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(OUTSIDER, sheet())
    case.units[KEI] = UNIT
    case.delegates(MAO, KEI, Role.REVIEWER)
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(KEI, ChangeRequest())


def test_a_signature_in_anothers_place_has_both_names_on_the_certificate() -> None:
    """Who signed, in whose place, and what it means."""
    case = Case(route(signatories=2))
    case.delegates(HEAD, OUTSIDER, Role.SIGNATORY)
    case.agree()
    assert case.may_read(OUTSIDER)
    assert isinstance(case.sign(OUTSIDER), Accepted)
    case.delegations.clear()
    assert not case.may_read(OUTSIDER)
    case.grants.append(grant(HEAD, Role.SIGNATORY, "second"))
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(HEAD), "reason", None), "their seal is on it"
    case.sign(SECOND)
    assert case.review.certificate is not None
    first, second = case.review.certificate.signatures
    assert (OUTSIDER, HEAD, f"for {HEAD}: approves") == (first.person, first.for_person, first.meaning)
    assert (SECOND, None) == (second.person, second.for_person)


def test_a_delegate_of_the_owner_answers_and_revises_and_judges_no_more() -> None:
    """They stand for the proposal then; and whoever judged it does not answer for it."""
    case = Case(route(needed=2, panel=3))
    case.delegates(OWNER, OUTSIDER, Role.OWNER)
    assert case.may_read(OUTSIDER)
    case.accepts(RIN, Question())
    assert Reason.ABSENT is case.refusal(OWNER, QuestionAnswer(question=case.review.questions[0].by.decision))
    case.accepts(OUTSIDER, QuestionAnswer(question=case.review.questions[0].by.decision))
    case.accepts(RIN, ChangeRequest())
    case.accepts(OUTSIDER, Revision(proposal=text_digest(2)))
    assert OUTSIDER in case.review.proposed_by
    case.grants.append(grant(OUTSIDER, Role.REVIEWER))
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(OUTSIDER, sheet())
    case.delegations.clear()
    case.delegates(OWNER, RIN, Role.OWNER)
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(RIN, Withdrawal())


def test_a_disabled_giver_lends_nothing() -> None:
    """Whoever may not act has nothing to leave to another."""
    case = Case()
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    case.disabled.add(RIN)
    assert Reason.NOT_ENTITLED is case.refusal(OUTSIDER, sheet(), under=grant(RIN, Role.REVIEWER))
    assert not case.may_read(OUTSIDER)


def test_a_decision_that_was_stored_before_the_absence_still_counts() -> None:
    """What the giver said in time, the delegation does not take back."""
    case = Case(route(needed=2, panel=2))
    stored = case.envelope(RIN, sheet())
    case.now += DAY
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    assert isinstance(case.take(stored), Accepted)
    assert Reason.ALREADY_GIVEN is case.refusal(OUTSIDER, sheet())


def test_who_signed_a_step_is_not_asked_to_sign_the_next_for_another() -> None:
    """They have one voice in the round, and it was heard: the turn is for others, and the refusal would say so."""
    case = Case(route(signatories=2))
    case.to_sign_off()
    case.delegates(SECOND, HEAD, Role.SIGNATORY)
    assert isinstance(case.sign(HEAD), Accepted)
    (turn,) = waits_for(case.review)
    assert not any(falls_to(turn, holder) for holder in case.holders())
    refused = case.sign(HEAD)
    assert isinstance(refused, Refused)
    assert "heard in this round already" in refused.detail
    case.delegations.clear()
    assert {SECOND} == {holder.actor for holder in case.holders() if falls_to(turn, holder)}


def test_the_name_of_the_giver_stands_in_the_meaning() -> None:
    """But for what is one's own alone."""
    case = Case()
    assert meaning(case.review, "change_request", grant(RIN, Role.REVIEWER), JUN).startswith(f"for {RIN}: ")
    assert meaning(case.review, "conflict", grant(RIN, Role.REVIEWER), JUN).startswith("declares a conflict")
    assert OFFICER not in meaning(case.review, "ruling", grant(OFFICER, Role.OFFICER, "officer"), OFFICER)


def test_what_the_owner_owes_does_not_wait_for_a_delegate_who_judged() -> None:
    """They could not give it: it is not in their inbox either."""
    case = Case()
    case.accepts(OFFICER, ChangeRequest())
    case.delegates(OWNER, OFFICER, Role.OWNER)
    (turn,) = (turn for turn in waits_for(case.review) if "revision" in turn.kinds)
    assert not any(falls_to(turn, holder) for holder in case.holders())
    case.delegations.clear()
    assert {OWNER} == {holder.actor for holder in case.holders() if falls_to(turn, holder)}


def test_nobody_acts_under_a_role_that_they_gave_to_whoever_leaves_it_to_them() -> None:
    """A role for oneself by way of another: granted, and taken back as their delegate.
    Standing for a proposal is no judging.
    """
    given = grant(RIN, Role.REVIEWER).model_copy(update={"by": OUTSIDER})
    case = Case(
        route(needed=1, panel=1), grants=(given, *(each for each in GRANTS if each.person not in (RIN, KEI, MAO)))
    )
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    said = case.say(OUTSIDER, sheet())
    assert isinstance(said, Refused)
    assert Reason.SEPARATION_OF_DUTIES is said.reason
    assert said.detail.startswith("You granted this role to the person who left it to you")
    (turn,) = waits_for(case.review)
    assert [JUN] == [holder.actor for holder in case.holders() if falls_to(turn, holder)]
    case.delegations.clear()
    case.delegates(RIN, KEI, Role.REVIEWER)
    case.accepts(KEI, sheet())

    owners = grant(OWNER, Role.OWNER).model_copy(update={"by": OUTSIDER})
    other = Case(grants=(owners, *GRANTS[1:]))
    other.delegates(OWNER, OUTSIDER, Role.OWNER)
    other.accepts(OFFICER, ChangeRequest())
    (turn,) = waits_for(other.review)
    assert [OUTSIDER] == [holder.actor for holder in other.holders() if falls_to(turn, holder)]
    other.accepts(OUTSIDER, Revision(proposal=text_digest(2)))
