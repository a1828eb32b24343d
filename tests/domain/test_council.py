"""The Council on the written route: it advises, every piece of advice is answered, and silence is no approval."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import council
from domain.decisions import (
    AdviceAnswer,
    AdviceResponse,
    Answer,
    ChangeRequest,
    Escalation,
    Extension,
    NoOpinion,
    Question,
    Reason,
    Recusal,
    Revision,
    Stance,
)
from domain.events import Accepted, FellDue, Lapsed, Seated
from domain.people import Role, Seat
from domain.review import waits_for
from domain.route import CouncilRule, Phase
from domain.stages import Stage
from domain.state import conditions, declined_advice, dissent
from tests.domain.builders import (
    ADA,
    CAI,
    COUNCIL,
    DAY,
    DEPUTY,
    GRANTS,
    HEAD,
    LEA,
    NOA,
    OFFICER,
    OWNER,
    REVIEWERS,
    Case,
    answers,
    grant,
    opinion,
    route,
    text_digest,
)


def consulting(**changed: bool) -> Case:
    """A review that is before the Council."""
    case = Case(route(council=True, **changed))
    case.agree()
    assert case.review.phase is Phase.CONSULTING
    return case


@given(
    st.permutations(list(COUNCIL)),
    st.lists(st.sampled_from(["gives", "steps aside", "says nothing"]), min_size=4, max_size=4),
)
def test_quorum(order: list[str], acts: list[str]) -> None:
    """Three seats with the consumer's are a quorum; without one only the officer goes on, and says why on record."""
    case = consulting()
    for person, act in zip(order, acts, strict=True):
        if act == "gives":
            case.accepts(person, opinion())
        elif act == "steps aside":
            case.accepts(person, Recusal())
    heard = {COUNCIL[person] for person, act in zip(order, acts, strict=True) if act == "gives"}
    quorum = len(heard) >= 3 and Seat.CONSUMER in heard
    assert (quorum and "says nothing" not in acts) is (case.review.stage is not Stage.COUNCIL)
    if case.review.stage is Stage.COUNCIL:
        case.time_runs_out()
    assert quorum is (Stage.COUNCIL in case.review.passed)
    if not quorum:
        case.accepts(OFFICER, NoOpinion())
        assert "no_opinion" == case.review.passed[Stage.COUNCIL].result
        assert "because" in case.review.passed[Stage.COUNCIL].because
    assert {opinion.seat for opinion in case.review.council.opinions} == heard


@given(st.sets(st.sampled_from(Seat)), st.integers(1, 4))
def test_quorum_grows_with_the_seats(seats: set[Seat], quorum: int) -> None:
    """Whoever joins a quorum leaves it one."""
    rule = CouncilRule(seats=tuple(Seat), quorum=quorum, must_include=(Seat.NPO,))
    met = council.quorum_met(rule, sorted(seats))
    assert met is (len(seats) >= quorum and Seat.NPO in seats)
    assert not met or all(council.quorum_met(rule, [*seats, seat]) for seat in Seat)


def test_a_quorum_that_is_out_of_reach_need_not_be_waited_for() -> None:
    """When the consumer steps aside, no quorum with a consumer can be had: the officer may go on at once."""
    case = consulting()
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, NoOpinion())
    case.accepts(CAI, Recusal())
    assert council.unreachable(case.review)
    assert [("no_opinion", "extension")] == [turn.kinds for turn in waits_for(case.review)]
    case.accepts(OFFICER, NoOpinion())


def test_no_opinion_is_the_deputys_when_the_officer_lets_it_lie() -> None:
    """It is the officer's turn from the moment the quorum is out of reach, so the deputy is next in line."""
    case = consulting()
    case.accepts(CAI, Recusal())
    *_, fell_due = case.time_runs_out()
    assert isinstance(fell_due, FellDue)
    assert (Role.OFFICER, "deputy_officer") == fell_due.next_in_line
    case.accepts(DEPUTY, NoOpinion())


def test_more_time_can_bring_a_member_who_was_not_there_before() -> None:
    """An extension seats whoever holds a seat by now, so that a lost quorum can be had again."""
    case = consulting()
    case.accepts(CAI, Recusal())
    case.grants.append(grant("cho.consumer", Role.COUNCIL_MEMBER, "consumer"))
    assert Reason.NOT_ENTITLED is case.refusal("cho.consumer", opinion())
    case.accepts(OFFICER, Extension(until=case.now + 200 * DAY))
    for person in ("cho.consumer", LEA, NOA, ADA):
        case.accepts(person, opinion())
    assert "completed" == case.review.passed[Stage.COUNCIL].result


def test_who_steps_aside_stays_aside() -> None:
    """They give no opinion, ask nothing, are not heard twice, and are not seated again in the next round."""
    case = consulting()
    case.accepts(NOA, Recusal())
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(NOA, opinion())
    assert Reason.CONFLICT_OF_INTEREST is case.refusal(NOA, Question())
    assert Reason.ALREADY_GIVEN is case.refusal(NOA, Recusal())
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    case.agree()
    assert {LEA, ADA, CAI} == {member.person for member in case.review.council.roster or ()}
    for person in (LEA, ADA, CAI):
        case.accepts(person, opinion())
    assert "completed" == case.review.passed[Stage.COUNCIL].result


def test_an_opinion_is_given_once() -> None:
    """A member who was heard is not heard again, and does not step aside after it."""
    case = consulting()
    case.accepts(LEA, opinion())
    assert Reason.ALREADY_GIVEN is case.refusal(LEA, opinion())
    assert Reason.ALREADY_GIVEN is case.refusal(LEA, Recusal())


def test_an_opinion_after_its_time_is_late() -> None:
    """Unless the officer gives more time; then it counts."""
    case = consulting()
    case.time_runs_out()
    assert Reason.LATE is case.refusal(LEA, opinion())
    case.accepts(OFFICER, Extension(until=case.now + 30 * DAY))
    assert not case.review.overdue
    assert set(COUNCIL) == {turn.person for turn in waits_for(case.review)}
    case.accepts(LEA, opinion())


def test_who_proposes_reviews_or_works_on_it_is_not_seated() -> None:
    """The roster leaves out everybody whom a rule keeps from advising, and who holds no seat of the route."""
    more = (
        grant(REVIEWERS[0], Role.COUNCIL_MEMBER, "consumer"),
        grant(OWNER, Role.COUNCIL_MEMBER, "lawyer"),
        grant("x.unseated", Role.COUNCIL_MEMBER, "somebody"),
    )
    case = Case(route(council=True), grants=(*GRANTS, *more))
    case.agree()
    assert set(COUNCIL) == {member.person for member in case.review.council.roster or ()}


def test_a_person_sits_once() -> None:
    """Whoever holds two seats has one voice."""
    case = Case(route(council=True), grants=(*GRANTS, grant(LEA, Role.COUNCIL_MEMBER, "npo")))
    case.agree()
    assert 1 == [member.person for member in case.review.council.roster or ()].count(LEA)


def test_without_anybody_to_ask_the_officer_goes_on() -> None:
    """An empty roster stops no review, and approves none."""
    case = Case(route(council=True), grants=[g for g in GRANTS if g.role is not Role.COUNCIL_MEMBER])
    case.agree()
    assert [Role.OFFICER] == [turn.role for turn in waits_for(case.review)]
    case.accepts(OFFICER, NoOpinion())
    assert case.review.stage is Stage.SIGN_OFF


def test_every_piece_of_advice_is_answered_before_it_goes_on() -> None:
    """Accepted advice becomes a condition, in part what is left of it, declined advice stands with its reason."""
    case = consulting()
    case.consult("ask them", "publish", "stop")
    assert case.review.phase is Phase.ANSWERING_ADVICE
    one, two, three = (piece.id for piece in case.review.council.advice)
    said = {
        one: AdviceAnswer(advice=one, answer=Answer.ACCEPTED, reason="yes"),
        two: AdviceAnswer(advice=two, answer=Answer.ACCEPTED_IN_PART, reason="some", condition="publish a summary"),
        three: AdviceAnswer(advice=three, answer=Answer.DECLINED, reason="no"),
    }
    case.accepts(OFFICER, AdviceResponse(answers=(said[one],)))
    assert Stage.COUNCIL not in case.review.passed
    assert Reason.ALREADY_GIVEN is case.refusal(OFFICER, AdviceResponse(answers=(said[one],)))
    assert Reason.INVALID is case.refusal(OFFICER, AdviceResponse(answers=(said[two], said[two])))
    unknown = AdviceAnswer(advice="\0", answer=Answer.DECLINED, reason="?")
    assert Reason.UNKNOWN_REFERENCE is case.refusal(OFFICER, AdviceResponse(answers=(unknown,)))
    case.accepts(OFFICER, AdviceResponse(answers=(said[two], said[three])))
    assert Stage.COUNCIL in case.review.passed
    assert ["ask them", "publish a summary"] == [condition.text for condition in conditions(case.review)]
    assert [("stop", "no")] == [(declined.advice, declined.reason) for declined in declined_advice(case.review)]


def test_advice_without_a_quorum_is_answered_all_the_same() -> None:
    """Going on without an opinion of the Council is no way around the advice of those who gave one."""
    case = consulting()
    case.accepts(LEA, opinion("ask them", stance=Stance.OPPOSES))
    case.time_runs_out()
    case.accepts(OFFICER, NoOpinion())
    assert case.review.phase is Phase.ANSWERING_ADVICE
    case.accepts(OFFICER, answers(case.review))
    assert "no_opinion" == case.review.passed[Stage.COUNCIL].result
    assert ["opinion of the lawyer seat"] == [voice.about for voice in dissent(case.review)]


def test_opposition_stops_nothing_and_is_kept() -> None:
    """The Council holds no veto: all four against it is dissent on record."""
    case = consulting()
    for person in COUNCIL:
        case.accepts(person, opinion(stance=Stance.OPPOSES))
    assert case.review.stage is Stage.SIGN_OFF
    assert 4 == len(dissent(case.review))


def test_the_deputy_answers_advice_when_the_officer_is_late() -> None:
    """Not before; then both may."""
    case = consulting()
    case.consult("ask them")
    assert Reason.NOT_ENTITLED is case.refusal(DEPUTY, answers(case.review))
    case.time_runs_out()
    assert ["officer", "deputy_officer"] == [turn.office for turn in waits_for(case.review)]
    case.accepts(DEPUTY, answers(case.review))
    assert (DEPUTY,) == case.review.ruled_by


def test_nobody_is_asked_where_the_route_does_not_and_nobody_escalates() -> None:
    """The stage is passed all the same, as not required, with the reason."""
    case = Case()
    case.agree()
    assert "not_required" == case.review.passed[Stage.COUNCIL].result
    assert not any(isinstance(event, Seated) for event in case.events)


@pytest.mark.parametrize("person", [REVIEWERS[3], OFFICER])
def test_a_reviewer_or_the_officer_escalates_whatever_the_tier(person: str) -> None:
    """In principle review it is noted for later; it can't be asked for twice."""
    case = Case()
    case.accepts(person, Escalation())
    assert Reason.ALREADY_GIVEN is case.refusal(OFFICER, Escalation())
    case.agree()
    assert case.review.phase is Phase.CONSULTING


@pytest.mark.parametrize("signed", [0, 1])
def test_escalation_brings_it_back_from_later_stages(signed: int) -> None:
    """From sign-off it returns to the Council; signatures given before lapse, and training is looked at again."""
    case = Case(route(training=True, signatories=2))
    case.to_sign_off()
    if signed:
        assert isinstance(case.sign(HEAD), Accepted)
    case.accepts(REVIEWERS[1], Escalation())
    assert case.review.phase is Phase.CONSULTING
    assert {Stage.PRINCIPLE_REVIEW} == set(case.review.passed)
    assert signed == sum(isinstance(event, Lapsed) for event in case.events)
    case.consult()
    assert case.review.stage is Stage.SIGN_OFF
    assert not case.review.signatures


def test_escalation_while_the_council_sits_is_superfluous() -> None:
    """It is asked already; and while the owner works on changes, there is nothing to ask it about."""
    case = consulting()
    assert Reason.ALREADY_GIVEN is case.refusal(REVIEWERS[1], Escalation())
    other = Case()
    other.accepts(REVIEWERS[0], ChangeRequest())
    assert Reason.OUT_OF_STAGE is other.refusal(REVIEWERS[0], Escalation())


def test_members_ask_while_they_are_asked() -> None:
    """A question of a member holds nothing up, and after the Council's part they ask no more."""
    case = consulting()
    case.accepts(LEA, Question())
    case.consult()
    assert case.review.stage is Stage.SIGN_OFF
    assert Reason.OUT_OF_STAGE is case.refusal(LEA, Question())
