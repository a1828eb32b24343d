"""Separation of duties: whatever roles somebody holds, nobody judges their own."""

from __future__ import annotations

import pytest

from domain.decisions import (
    AnyContent,
    ChangeRequest,
    Escalation,
    Extension,
    NoOpinion,
    Question,
    QuestionAnswer,
    Reason,
    Recusal,
    Reopening,
    Revision,
    Ruling,
    Submission,
    Withdrawal,
)
from domain.entitlement import ROLES
from domain.events import Accepted, Assessed, Refused
from domain.people import Assigned, Grant, Role
from domain.registry import BOOTSTRAP
from domain.review import evolve, fold, holds, waits_for
from domain.separation import JUDGING, RULES, SEALING, broken_rule, excluded
from domain.stages import Stage
from domain.state import Review
from domain.turns import falls_to
from tests.domain.builders import (
    AUTHOR,
    COUNCIL,
    DAY,
    ENGINEER,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    LEA,
    OFFICER,
    OUTSIDER,
    OWNER,
    PRINCIPLES,
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
        "conflict",
        "claim",
        "release",
        "training_recorded",
        "registry_changed",
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


HATS = {
    "reviewer": (Role.REVIEWER, None),
    "adviser": (Role.COUNCIL_MEMBER, "lawyer"),
    "officer": (Role.OFFICER, "officer"),
    "signatory": (Role.SIGNATORY, "head"),
}


def comes_to(case: Case, hat: str) -> AnyContent | None:
    """Have others do all that comes before what is said under this hat; gives that, where it is no signature."""
    if hat == "reviewer":
        return sheet()
    if case.review.stage is Stage.PRINCIPLE_REVIEW:
        case.agree()
    if hat == "adviser":
        return opinion()
    case.consult("ask them")
    if hat == "officer":
        return answers(case.review)
    case.accepts(OFFICER, answers(case.review))
    return None


@pytest.mark.parametrize(
    ("name", "first", "then"),
    [
        ("reviewers_do_not_advise", "reviewer", "adviser"),
        ("reviewers_do_not_rule", "reviewer", "officer"),
        ("reviewers_do_not_sign", "reviewer", "signatory"),
        ("advisers_do_not_review", "adviser", "reviewer"),
        ("advisers_do_not_answer", "adviser", "officer"),
        ("advisers_do_not_sign", "adviser", "signatory"),
        ("officer_does_not_review_or_advise", "officer", "reviewer"),
        ("officer_does_not_review_or_advise", "officer", "adviser"),
        ("officer_does_not_sign", "officer", "signatory"),
    ],
)
def test_what_somebody_did_in_one_round_keeps_them_from_another_part_in_the_next(
    name: str, first: str, then: str
) -> None:
    """By the rule of that name, and no other: within the round, their one voice would."""
    who = "of.two.hats"
    was, will_be = grant(who, *HATS[first]), grant(who, *HATS[then])
    case = Case(route(council=True), grants=(*GRANTS, was))
    said = comes_to(case, first)
    assert said is not None
    case.accepts(who, said)
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.grants.remove(was)
    case.grants.append(will_be)
    said = comes_to(case, then)
    refused = case.sign(who) if said is None else case.say(who, said)
    assert isinstance(refused, Refused), refused
    assert [rule.sentence for rule in RULES if rule.name == name] == [refused.detail]


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


@pytest.mark.parametrize("first", [True, False])
def test_one_more_grant_keeps_nobody_from_judging(first: bool) -> None:
    """Whoever would hinder a judge by giving them once more what they hold gives them nothing to be refused for."""
    (judge, *_) = REVIEWERS
    poisoned = given_by(OWNER, judge, Role.REVIEWER, "office")
    case = Case(grants=(poisoned, *GRANTS) if first else (*GRANTS, poisoned))
    case.accepts(judge, sheet())


def given_by(by: str, person: str, role: Role, office: str | None = None) -> Grant:
    """A grant that somebody of this review gave."""
    return grant(person, role, office).model_copy(update={"by": by})


def test_one_person_has_one_voice_a_round_whatever_roles_they_hold() -> None:
    """Whoever was heard in one role is not heard in another, though no rule names the pair;
    in the next round they may.
    """
    case = Case(
        route(signatories=2), grants=(*GRANTS, grant(HEAD, Role.OFFICER, "officer"), grant(OFFICER, Role.REVIEWER))
    )
    case.accepts(OFFICER, Question())
    said = case.say(OFFICER, sheet())
    assert isinstance(said, Refused)
    assert "heard in this round already" in said.detail
    case.accepts(HEAD, Extension(until=case.now + 100 * DAY))
    case.agree()
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(HEAD), "reason", None)
    other = Case(grants=(*GRANTS, grant(OFFICER, Role.REVIEWER)))
    other.accepts(OFFICER, Question())
    other.accepts(REVIEWERS[0], ChangeRequest())
    other.accepts(OWNER, Revision(proposal=text_digest(2)))
    other.accepts(OFFICER, sheet())


def test_who_gave_a_role_that_was_acted_under_does_not_judge() -> None:
    """Nobody grants a role and then judges beside those whom they put there; bootstrap is nobody."""
    rin = given_by(OFFICER, "new.reviewer", Role.REVIEWER)
    case = Case(route(needed=2, panel=2), grants=(*GRANTS, rin, grant(OFFICER, Role.REVIEWER)))
    case.accepts("new.reviewer", sheet())
    assert (OFFICER,) == case.review.grantors
    said = case.say(OFFICER, sheet())
    assert isinstance(said, Refused)
    assert said.detail.startswith("You gave somebody a role that they acted under")
    assert all(OFFICER in turn.not_for for turn in waits_for(case.review))
    first = Case(grants=[each.model_copy(update={"by": BOOTSTRAP}) for each in GRANTS])
    first.agree()
    assert () == first.review.grantors


@pytest.mark.parametrize("party", [OWNER, AUTHOR, ENGINEER, REVIEWERS[0]])
def test_a_role_from_somebody_who_takes_part_does_not_count(party: str) -> None:
    """Owner, author, staff, whoever was heard: nobody profits in a review from a role that they gave."""
    new = given_by(party, "new.reviewer", Role.REVIEWER)
    case = Case(route(needed=2, panel=3), grants=(*GRANTS, new))
    case.accepts(REVIEWERS[0], sheet())
    said = case.say("new.reviewer", sheet())
    assert isinstance(said, Refused)
    assert "given, or lent, to you by somebody who takes part in this review" in said.detail
    (turn,) = waits_for(case.review)
    able = {holder.grant.person for holder in case.holders() if falls_to(turn, holder)}
    assert {*REVIEWERS[1:]} == able
    free = Case(route(needed=2, panel=3), grants=(*GRANTS, given_by(OUTSIDER, "new.reviewer", Role.REVIEWER)))
    free.accepts("new.reviewer", sheet())


def test_who_judged_does_not_stand_for_the_proposal() -> None:
    """A revision that names a reviewer as its author frees nobody to answer for what they judged."""
    case = Case(route(needed=2, panel=2), grants=(*GRANTS, grant(REVIEWERS[0], Role.OWNER)))
    case.accepts(REVIEWERS[0], sheet())
    case.accepts(REVIEWERS[1], ChangeRequest())
    case.author = REVIEWERS[0]
    said = case.say(REVIEWERS[0], Revision(proposal=text_digest(2)))
    assert isinstance(said, Refused)


def test_who_left_their_voice_to_another_does_not_stand_for_the_proposal_either() -> None:
    """Their delegate judged, and it was their voice: named as its author afterwards, they answer for nothing."""
    case = Case(route(needed=2, panel=2), grants=(*GRANTS, grant(REVIEWERS[0], Role.OWNER)))
    case.delegates(REVIEWERS[0], OUTSIDER, Role.REVIEWER)
    case.accepts(OUTSIDER, sheet())
    case.accepts(REVIEWERS[1], ChangeRequest())
    case.author = REVIEWERS[0]
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.accepts(REVIEWERS[1], ChangeRequest())
    assert "judges_do_not_propose" == refused_by(case.say(REVIEWERS[0], Revision(proposal=text_digest(3))))


def refused_by(answer: Accepted | Refused) -> str | None:
    """The name of the rule by whose sentence this was refused."""
    return next((each.name for each in RULES if isinstance(answer, Refused) and each.sentence in answer.detail), None)


GIVER, NEW = "pat.operator", "new.reviewer"


def one_text(_: str) -> dict[str, str]:
    """What the principles are judged by, where every text says the same."""
    return dict.fromkeys(PRINCIPLES, "e" * 64)


def judged_by_gift(*, lent: bool = False) -> Case:
    """A review that somebody judged in a role that somebody else, without a part in it so far, gave or lent to them."""
    gift = given_by(GIVER, NEW, Role.REVIEWER)
    case = Case(route(needed=2, panel=3), grants=GRANTS if lent else (*GRANTS, gift), inputs=one_text)
    if lent:
        case.delegates(REVIEWERS[3], NEW, Role.REVIEWER, by=GIVER)
    case.accepts(NEW, sheet())
    return case


@pytest.mark.parametrize("lent", [False, True])
def test_who_gave_a_role_that_judged_does_not_stand_for_the_proposal(lent: bool) -> None:
    """Not by an answer, a revision or a withdrawal in the owner's place; nor is it their turn. The owner's voice is
    the owner's still.
    """
    case = judged_by_gift(lent=lent)
    case.accepts(REVIEWERS[0], Question())
    away = case.delegates(OWNER, GIVER, Role.OWNER)
    answer = QuestionAnswer(question=case.review.questions[0].by.decision)
    for said in (answer, Withdrawal()):
        assert "grantors_do_not_propose" == refused_by(case.say(GIVER, said))
    assert not any(falls_to(turn, h) for turn in waits_for(case.review) for h in case.holders() if h.actor == GIVER)
    case.accepts(REVIEWERS[1], ChangeRequest())
    assert "grantors_do_not_propose" == refused_by(case.say(GIVER, Revision(proposal=text_digest(2))))
    case.delegations.remove(away)
    case.accepts(OWNER, answer)
    case.accepts(OWNER, Revision(proposal=text_digest(2)))


def test_who_gave_a_role_that_signed_does_not_answer_what_the_next_one_asks() -> None:
    """A signature by their gift is on the certificate; the owner's word to the next signatory is somebody else's."""
    case = Case(route(signatories=2), grants=(*GRANTS, given_by(GIVER, "new.head", Role.SIGNATORY, "head")))
    case.to_sign_off()
    assert isinstance(case.sign("new.head"), Accepted)
    case.accepts(SECOND, Question())
    case.delegates(OWNER, GIVER, Role.OWNER)
    answer = QuestionAnswer(question=case.review.questions[0].by.decision)
    assert "grantors_do_not_propose" == refused_by(case.say(GIVER, answer))


@pytest.mark.parametrize("lent", [False, True])
@pytest.mark.parametrize("becomes", ["author", "staff"])
def test_a_verdict_counts_no_more_once_who_gave_the_role_has_a_part_in_the_proposal(becomes: str, lent: bool) -> None:
    """Named by a revision: what rests on their gift is not carried to it, and they answer for nothing by that."""
    case = judged_by_gift(lent=lent)
    case.accepts(REVIEWERS[0], ChangeRequest())
    case.grants.append(grant(GIVER, Role.OWNER))
    if becomes == "author":
        case.author = GIVER
    else:
        case.staff = (Assigned(person=GIVER, role="engineer"),)
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert () == case.review.sheets
    assert "roles_from_parties_do_not_count" == refused_by(case.say(NEW, sheet()))
    if becomes == "author":
        case.accepts(REVIEWERS[0], ChangeRequest())
        assert "grantors_do_not_propose" == refused_by(case.say(GIVER, Revision(proposal=text_digest(3))))


def test_a_verdict_in_a_role_that_nobody_of_the_review_gave_is_carried() -> None:
    """The gift is no harm by itself; nor does it keep the giver of an owner's role from standing for a proposal."""
    case = judged_by_gift()
    case.accepts(REVIEWERS[0], ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert [NEW] == [each.by.person for each in case.review.sheets]
    other = Case(route(needed=2, panel=2), opened=False)
    other.grants[1] = other.grants[1].model_copy(update={"by": OWNER})
    other.accepts(AUTHOR, Submission(), digest=text_digest(1))
    other.accepts(REVIEWERS[0], ChangeRequest())
    other.accepts(OWNER, Revision(proposal=text_digest(2)))


def test_whose_gift_a_judging_role_was_is_on_record_and_an_entry_of_before_is_folded_as_ever() -> None:
    """It says whose, or, from before that was asked for, nothing; never somebody else's."""
    case = judged_by_gift()
    before = fold("R-1", case.events[:-1])
    told = case.events[-1]
    assert isinstance(told, Accepted)
    assert (GIVER,) == told.given_by == case.review.heard[-1].given_by
    older = told.model_copy(update={"given_by": ()})
    assert "given_by" not in older.model_dump()
    assert "given_by" not in evolve(before, older).model_dump_json()
    assert holds(before, None, told)
    assert holds(before, None, older)
    assert not holds(before, None, told.model_copy(update={"given_by": (OUTSIDER,)}))
    (opening, *_) = case.events
    assert isinstance(opening, Accepted)
    assert not holds(Review(id="R-1"), None, opening.model_copy(update={"given_by": (GIVER,)}))


def test_the_council_member_of_a_seat_keeps_it_under_a_new_grant() -> None:
    """Taken away by mistake and given again: it is the person and the seat that count, not the number of the grant."""
    case = Case(route(council=True))
    case.agree()
    old = next(each for each in case.grants if each.person == LEA)
    case.grants[case.grants.index(old)] = old.model_copy(update={"id": "given anew"})
    assert case.may_read(LEA)
    case.accepts(LEA, opinion())
    case.grants[case.grants.index(old.model_copy(update={"id": "given anew"}))] = grant(LEA, Role.COUNCIL_MEMBER, "npo")
    assert Reason.NOT_ENTITLED is case.refusal(LEA, Question())


def test_every_sentence_is_one_for_a_person() -> None:
    """It speaks to whoever is refused, and says what follows."""
    for each in RULES:
        assert each.sentence.startswith(("You ", "The role that you "))
        assert each.sentence.endswith(".")
        assert each.kinds
