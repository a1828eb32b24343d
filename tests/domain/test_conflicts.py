"""Conflicts of interest: declared or found, they keep somebody from judging and from seeing the case."""

from __future__ import annotations

import pytest

from domain.decisions import (
    AnyContent,
    ChangeRequest,
    Conflict,
    Extension,
    NoOpinion,
    Question,
    QuestionAnswer,
    Reason,
    RegistryChanged,
    Revision,
    Ruling,
    Submission,
    Withdrawal,
)
from domain.entitlement import REGISTRY
from domain.events import Accepted, Assessed, Blocked, Lapsed, Moved, Refused, Returned, Struck
from domain.fulfilment import lacking
from domain.narrative import tell
from domain.people import Assigned, Role
from domain.review import concerned_by, fold, holds, waits_for
from domain.route import OWN, Phase
from domain.stages import Outcome, Stage
from domain.turns import falls_to
from tests.domain.builders import (
    ADA,
    AUDITOR,
    AUTHOR,
    CAI,
    DAY,
    DEPUTY,
    ENGINEER,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    JUN,
    KEI,
    LEA,
    MAO,
    NOA,
    OFFICER,
    OUTSIDER,
    OWNER,
    RIN,
    SECOND,
    TRAINER,
    UNIT,
    Case,
    answers,
    grant,
    opinion,
    route,
    sheet,
    text_digest,
)


@pytest.mark.parametrize("person", [RIN, OFFICER, HEAD])
def test_whoever_could_judge_steps_aside_at_any_time(person: str) -> None:
    """In whatever stage, in whatever office; and then judges nothing, asks nothing and sees nothing, for good."""
    case = Case()
    case.accepts(person, Conflict())
    assert person in case.review.aside
    assert not case.may_read(person)
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(person, Question())
    assert Reason.ALREADY_GIVEN is case.refusal(person, Conflict())
    case.accepts(KEI, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(person, Question())
    assert not case.may_read(person)


def test_who_cannot_judge_has_no_conflict_to_declare() -> None:
    """The owner stands for the proposal; the auditor judges nothing."""
    case = Case()
    for person in (OWNER, AUDITOR, OUTSIDER):
        assert Reason.NOT_ENTITLED is case.refusal(person, Conflict())


def test_a_conflict_that_is_declared_late_strikes_the_verdicts() -> None:
    """They count no more, and the review goes back for others."""
    case = Case(route(signatories=2))
    case.accepts(RIN, sheet(condition="test it first"))
    case.sign(HEAD)
    case.accepts(RIN, Conflict())
    kinds = [type(event) for event in case.events[-5:]]
    assert [Accepted, Lapsed, Struck, Returned] == kinds[:4]
    assert (Stage.PRINCIPLE_REVIEW, (), ()) == (case.review.stage, case.review.sheets, case.review.signatures)
    assert RIN in case.review.reviewed_by
    case.agree_by(JUN)
    case.sign(HEAD)
    case.sign(SECOND)
    assert Outcome.APPROVED is case.review.outcome
    assert case.review.certificate is not None
    assert () == case.review.certificate.conditions


def test_a_late_conflict_changes_nothing_that_does_not_rest_on_it() -> None:
    """Others' sheets stay; a stage that is still open goes on."""
    case = Case(route(needed=2, panel=3))
    case.accepts(RIN, sheet())
    case.accepts(JUN, sheet("privacy"))
    case.accepts(JUN, Conflict())
    assert [RIN] == [given.by.person for given in case.review.sheets]
    case.accepts(KEI, sheet())
    assert Stage.SIGN_OFF is case.review.stage
    case.accepts(MAO, Conflict())
    assert Stage.SIGN_OFF is case.review.stage


def test_a_late_conflict_of_a_signatory_lapses_the_signatures() -> None:
    """The next one would rest on theirs."""
    case = Case(route(signatories=2))
    case.agree()
    case.sign(HEAD)
    case.accepts(HEAD, Conflict())
    assert () == case.review.signatures
    case.time_runs_out()
    assert isinstance(case.sign(HEAD_DEPUTY), Accepted)
    assert isinstance(case.sign(SECOND), Accepted)
    assert case.review.closed


def test_a_late_conflict_in_the_council_strikes_opinion_and_advice() -> None:
    """And opens the consultation again, where it was concluded; the answers to others' advice stand."""
    case = Case(route(council=True))
    case.agree()
    case.accepts(LEA, opinion("publish the rates"))
    for person in (NOA, ADA, CAI):
        case.accepts(person, opinion("ask them"))
    case.accepts(OFFICER, answers(case.review))
    assert Stage.SIGN_OFF is case.review.stage
    case.accepts(LEA, Conflict())
    review = case.review
    assert {NOA, ADA, CAI} == {each.by.person for each in review.council.opinions}
    assert (3, {OFFICER}) == (len(review.council.advice), {advice.answered_by for advice in review.council.advice})
    assert Stage.SIGN_OFF is review.stage, "three opinions still make a quorum"
    case.accepts(CAI, Conflict())
    assert (Stage.COUNCIL, Phase.CONSULTING) == (case.review.stage, case.review.phase)
    case.accepts(OFFICER, NoOpinion())
    assert "no_opinion" == case.review.passed[Stage.COUNCIL].result


def test_a_late_conflict_of_the_officer_takes_the_answers_and_the_ruling_back() -> None:
    """Another officer answers."""
    case = Case(route(council=True))
    case.agree()
    case.consult("ask them")
    case.accepts(OFFICER, answers(case.review))
    case.accepts(OFFICER, Conflict())
    assert (Stage.COUNCIL, Phase.ANSWERING_ADVICE) == (case.review.stage, case.review.phase)
    assert {None} == {advice.answer for advice in case.review.council.advice}
    case.time_runs_out()
    case.accepts(DEPUTY, answers(case.review))
    other = Case(route(needed=2, panel=2))
    other.accepts(RIN, sheet())
    other.accepts(JUN, sheet("privacy"))
    other.accepts(OFFICER, Ruling(ruling="proceed"))
    other.accepts(OFFICER, Conflict())
    assert (Stage.PRINCIPLE_REVIEW, None) == (other.review.stage, other.review.ruling)


def test_going_on_without_an_opinion_is_taken_back_too() -> None:
    """Whoever decided that had a conflict; the Council is asked again."""
    case = Case(route(council=True))
    case.agree()
    case.accepts(CAI, Conflict())
    case.accepts(OFFICER, NoOpinion())
    assert Stage.SIGN_OFF is case.review.stage
    case.accepts(OFFICER, Conflict())
    assert (Stage.COUNCIL, None) == (case.review.stage, case.review.council.no_opinion_because)


@pytest.mark.parametrize("content", [sheet(), ChangeRequest(), Question()], ids=repr)
def test_nobody_judges_what_comes_from_their_own_unit(content: AnyContent) -> None:
    """The unit that the proposal names, or that whoever submitted it belongs to; found without anybody's word."""
    case = Case()
    case.units[RIN] = UNIT
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, content)
    assert not case.may_read(RIN)
    case.units |= {RIN: "elsewhere", JUN: "the author's"}
    other = Case(opened=False)
    other.units |= {other.author: "the author's", JUN: "the author's"}
    other.accepts(other.author, Submission(), digest=text_digest(1))
    assert {UNIT, "the author's"} == set(other.review.units)
    assert Reason.CONFLICT_OF_INTEREST is other.refusal(JUN, content)
    case.accepts(RIN, content)


@pytest.mark.parametrize(
    "spelt", [UNIT.upper(), f" {UNIT.replace(' ', '   ')}", UNIT.replace("E", "\N{FULLWIDTH LATIN CAPITAL LETTER E}")]
)
def test_a_unit_is_the_same_one_however_its_name_is_spelt(spelt: str) -> None:
    """In upper and lower case, in wide characters, spaced otherwise; and one that is only like it is another."""
    case = Case()
    case.units |= {RIN: spelt, JUN: f"{UNIT} II", HEAD: spelt, KEI: spelt}
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, sheet())
    assert not case.may_read(RIN)
    (turn,) = (turn for turn in waits_for(case.review) if turn.role is Role.REVIEWER)
    assert {JUN, MAO} == {holder.actor for holder in case.holders() if falls_to(turn, holder)}
    case.accepts(JUN, sheet())
    assert Reason.CONFLICT_OF_INTEREST is getattr(case.sign(HEAD), "reason", None)
    its = route()
    kept_to = its.reviewers.model_copy(update={"unit": "Ethics and Law"})
    other = Case(its.model_copy(update={"reviewers": kept_to}))
    other.units[RIN] = "ethics  AND law"
    (turn,) = (turn for turn in waits_for(other.review) if turn.role is Role.REVIEWER)
    assert {RIN} == {holder.actor for holder in other.holders() if falls_to(turn, holder)}
    assert Reason.NOT_ENTITLED is other.refusal(JUN, sheet())
    other.accepts(RIN, sheet())


def test_a_unit_excludes_in_every_role_that_judges_and_in_no_other() -> None:
    """Officer, signatory, council; auditors and training officers look on."""
    case = Case(route(council=True, deputies=False))
    case.units |= dict.fromkeys((OFFICER, HEAD, LEA, AUDITOR, TRAINER), UNIT)
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(OFFICER, Question())
    case.agree()
    assert LEA not in {seat.person for seat in case.review.council.roster or ()}
    for person in (NOA, ADA, CAI):
        case.accepts(person, opinion())
    assert Reason.CONFLICT_OF_INTEREST is getattr(case.sign(HEAD), "reason", None)
    assert not any(case.may_read(person) for person in (OFFICER, HEAD, LEA))
    assert case.may_read(AUDITOR)
    assert case.may_read(TRAINER)
    turns = waits_for(case.review)
    assert all(UNIT in turn.not_units for turn in turns if turn.role is not Role.OPERATOR)


def test_an_office_that_speaks_for_the_unit_is_held_by_its_own() -> None:
    """The head of the unit signs for it, and the head of another unit does not."""
    its = route()
    step = its.signatories[0].model_copy(update={"unit": OWN})
    case = Case(its.model_copy(update={"signatories": (step,)}))
    case.agree()
    assert Reason.NOT_ENTITLED is getattr(case.sign(HEAD), "reason", None)
    case.units[HEAD] = UNIT
    assert case.may_read(HEAD)
    assert isinstance(case.sign(HEAD), Accepted)


def test_who_is_on_the_staff_sees_nothing_as_a_judge() -> None:
    """A reviewer on the staff is staff; an auditor on it still audits."""
    staff = tuple(Assigned(person=person, role="engineer") for person in (ENGINEER, RIN, AUDITOR))
    case = Case(staff=staff)
    assert not case.may_read(RIN)
    assert case.may_read(AUDITOR)
    assert case.may_read(JUN)


def test_the_former_owner_of_a_conflict_is_named_in_the_sentence() -> None:
    """A refused person understands why."""
    case = Case(grants=(*GRANTS, grant(OWNER, Role.REVIEWER)))
    case.units[RIN] = UNIT
    for person, words in ((RIN, "the unit that this proposal comes from"), (OWNER, "own or wrote this proposal")):
        said = case.say(person, sheet())
        assert isinstance(said, Refused)
        assert words in said.detail


def test_a_reviewer_who_is_away_can_step_aside_all_the_same() -> None:
    """Leaving a role to another leaves nobody without their word on this."""
    case = Case()
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    assert Reason.ABSENT is case.refusal(RIN, sheet())
    case.accepts(RIN, Conflict())
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(OUTSIDER, sheet())
    assert not case.may_read(OUTSIDER)
    case.accepts(OFFICER, Extension(until=case.now + 100 * DAY))


def test_who_stepped_aside_stands_for_the_proposal_in_nobodys_place() -> None:
    """The owner leaves their role to them: they are asked for nothing, see nothing, and their answer is refused; that
    nobody answers for it is noticed. What is the owner's own stays theirs, though they stepped aside as a judge.
    """
    case = Case()
    case.accepts(JUN, Question())
    case.accepts(RIN, Conflict())
    answer = QuestionAnswer(question=case.review.questions[0].by.decision)
    left = [case.delegates(giver, RIN, Role.OWNER) for giver in (OWNER, AUTHOR)]
    said = case.say(RIN, answer)
    assert isinstance(said, Refused)
    assert (Reason.CONFLICT_OF_INTEREST, True) == (said.reason, "in another's place" in said.detail)
    assert not case.may_read(RIN)
    turns = waits_for(case.review)
    assert not any(falls_to(turn, holder) for turn in turns for holder in case.holders() if holder.actor == RIN)
    (lack,) = lacking(case.review, case.holders())
    assert "Nobody can answer for the proposal: whoever has the role is kept from this proposal." == lack.what
    case.delegations.remove(left[0])
    assert () == lacking(case.review, case.holders())
    case.accepts(OWNER, answer)
    own = Case(grants=(*GRANTS, grant(OWNER, Role.REVIEWER)))
    own.accepts(JUN, Question())
    own.accepts(OWNER, Conflict())
    (turn,) = (turn for turn in waits_for(own.review) if turn.role is Role.OWNER)
    assert [OWNER] == [holder.actor for holder in own.holders() if falls_to(turn, holder)]
    own.accepts(OWNER, QuestionAnswer(question=own.review.questions[0].by.decision))


def test_who_stepped_aside_is_not_asked_for_what_is_missing_in_training() -> None:
    """They may not read the review; another training officer is asked."""
    case = Case(route(training=True), grants=(*GRANTS, grant(RIN, Role.TRAINING_OFFICER)))
    case.accepts(RIN, Conflict())
    case.agree_by(JUN)
    (turn,) = (turn for turn in waits_for(case.review) if turn.role is Role.TRAINING_OFFICER)
    assert [TRAINER] == [holder.actor for holder in case.holders() if falls_to(turn, holder)]


def test_whom_a_proposals_own_words_keep_away_is_on_record() -> None:
    """Named as staff, or of the unit that it names; in words that the officer reads. Others are not spoken of."""
    case = Case(opened=False, staff=(Assigned(person=RIN, role="engineer"), Assigned(person=ENGINEER, role="engineer")))
    case.units |= {OFFICER: UNIT, AUDITOR: UNIT}
    case.accepts(AUTHOR, Submission(), digest=text_digest(1))
    (assessed,) = (event for event in case.events if isinstance(event, Assessed))
    assert (OFFICER, RIN) == assessed.kept_away
    assert f"keep from judging it: {OFFICER}, {RIN}." in tell(assessed).what
    (plain,) = (event for event in Case().events if isinstance(event, Assessed))
    assert () == plain.kept_away
    assert "keep from judging" not in tell(plain).what


def test_the_owners_unit_counts_whoever_submits_for_them() -> None:
    """An author of another unit, and another unit named: the owner's own people still do not judge it."""
    case = Case(opened=False)
    case.units |= {OWNER: "Unit of the owner", RIN: "Unit of the owner"}
    case.accepts(AUTHOR, Submission(), digest=text_digest(1))
    assert {UNIT, "Unit of the owner"} == set(case.review.units)
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, sheet())
    assert not case.may_read(RIN)
    (assessed,) = (event for event in case.events if isinstance(event, Assessed))
    assert (RIN,) == assessed.kept_away
    assert fold("R-1", case.events) == case.review


@pytest.mark.parametrize("who", [OWNER, AUTHOR])
def test_who_moves_makes_a_conflict_of_their_new_unit(who: str) -> None:
    """Before anything else is decided, on record, and for good; what was said before stands, as it was nobody's then."""
    case = Case()
    case.accepts(JUN, sheet())
    case.units |= {JUN: "Sales", RIN: "Sales", who: "sales"}
    before = case.review
    assert concerned_by(before, case.holders(), case.facts().units)
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, sheet())
    found = next(event for event in case.events if isinstance(event, Moved))
    assert {who: case.units[who]} == found.units
    assert f"whose people don't judge it: {who} ({case.units[who]})." in tell(found).what
    assert holds(before, None, found)
    assert not holds(case.review, None, found), "it is known already"
    assert not concerned_by(case.review, case.holders(), case.facts().units)
    assert not case.may_read(RIN)
    assert case.may_read(KEI)
    assert JUN in {given.by.person for given in case.review.sheets}
    case.units[who] = UNIT
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, sheet())
    assert 1 == sum(isinstance(event, Moved) for event in case.events)
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(RIN, sheet())
    assert fold("R-1", case.events) == case.review


def test_the_registry_tells_of_a_move_when_nobody_decides() -> None:
    """So that whoever is too close by it does not see the case any more, and who is lacking by it is noticed."""
    case = Case()
    case.units |= dict.fromkeys((OWNER, RIN, JUN, KEI, MAO), "Sales")
    assert case.may_read(RIN)
    case.accepts(REGISTRY.person, RegistryChanged())
    assert not case.may_read(RIN)
    assert case.review.blocked
    assert [Moved, Accepted, Blocked] == [type(event) for event in case.events[-3:]]


def test_nobody_who_moves_after_the_outcome_changes_anything() -> None:
    """It is closed: its record is as it is."""
    case = Case()
    case.accepts(OWNER, Withdrawal())
    case.units[OWNER] = "Sales"
    assert not concerned_by(case.review, case.holders(), case.facts().units)
    assert Reason.LATE is case.refusal(RIN, Question())
    assert not any(isinstance(event, Moved) for event in case.events)
