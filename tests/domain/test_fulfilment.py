"""Whether anybody can do what a route still asks for: noticed when it becomes so, and when it no longer is."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.decisions import ChangeRequest, Conflict, Reason, Recusal, RegistryChanged, Revision, TrainingRecorded
from domain.entitlement import REGISTER, REGISTRY
from domain.events import Accepted, Blocked, Event, Unblocked, Vacated
from domain.fulfilment import Part, lacking, short
from domain.narrative import tell
from domain.notices import Kind, Pace, Preferences, concerned
from domain.people import Role
from domain.review import concerned_by, fold, holds, waits_for
from domain.stages import Outcome, Stage
from domain.state import Lack, Review
from tests.domain.builders import (
    AUTHOR,
    CAI,
    COUNCIL,
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
    OPERATOR,
    OWNER,
    REVIEWERS,
    RIN,
    SECOND,
    START,
    TRAINER,
    UNIT,
    Case,
    answers,
    grant,
    noticed,
    opinion,
    route,
    sheet,
    text_digest,
)

NO_CONSUMER = "Nobody can advise in the consumer seat of the Advisory Council: nobody who may act has the role."
NOBODY_SIGNS = "Nobody can sign as Head: nobody who may act has the role."


def without(case: Case, *people: str) -> None:
    """Take every role from these people."""
    case.grants = [each for each in case.grants if each.person not in people]


def registry_speaks(case: Case) -> None:
    """Have the registry tell the review that roles changed."""
    case.accepts(REGISTRY.person, RegistryChanged())


def told(case: Case) -> list[str]:
    """What is lacking, by the record."""
    return [lack.what for lack in case.review.blocked]


def turns_for(case: Case, role: Role) -> list[str]:
    """What somebody in this role is asked to give roles for."""
    return [turn.what for turn in waits_for(case.review) if turn.role is role and turn.kinds == ("grant",)]


def test_a_route_that_can_be_fulfilled_is_never_spoken_of() -> None:
    """From submission to certificate, with all that a route can ask for."""
    case = Case(route(needed=2, panel=3, council=True, training=True, signatories=2))
    case.to_sign_off()
    case.sign(HEAD)
    case.sign(SECOND)
    assert case.review.outcome is Outcome.APPROVED
    assert not any(isinstance(event, Blocked | Unblocked) for event in case.events)


def test_what_is_lacking_is_told_while_there_is_time() -> None:
    """In principle review already that nobody can sign; given back, all goes on to the end."""
    case = Case(route(deputies=False))
    without(case, HEAD)
    registry_speaks(case)
    assert [NOBODY_SIGNS] == told(case)
    assert Lack(stage=Stage.SIGN_OFF, what=NOBODY_SIGNS) == case.review.blocked[0]
    assert turns_for(case, Role.OFFICER) == turns_for(case, Role.OPERATOR) == [NOBODY_SIGNS]
    assert not any(turn.blocking for turn in waits_for(case.review) if turn.kinds == ("grant",))
    case.agree()
    assert [True, True] == [turn.blocking for turn in waits_for(case.review) if turn.kinds == ("grant",)]
    case.grants.append(grant("new.head", Role.SIGNATORY, "head"))
    registry_speaks(case)
    assert [] == told(case) == turns_for(case, Role.OPERATOR)
    assert isinstance(case.sign("new.head"), Accepted)
    assert case.review.outcome is Outcome.APPROVED
    assert [Blocked, Unblocked] == [type(e) for e in case.events if isinstance(e, Blocked | Unblocked)]
    assert case.review == fold(case.review.id, case.events)


def test_it_is_noticed_at_submission() -> None:
    """In the same commit that opens the review."""
    case = Case(route(deputies=False), grants=[each for each in GRANTS if each.person != HEAD])
    assert isinstance(case.events[-1], Blocked)
    assert [NOBODY_SIGNS] == told(case)


def test_nothing_is_said_twice() -> None:
    """What is lacking is on record once, since when it was first so; what comes to it is on record too."""
    case = Case(route(signatories=2, deputies=False))
    without(case, HEAD)
    registry_speaks(case)
    since = case.review.blocked_since
    case.now += DAY
    registry_speaks(case)
    case.agree_by(RIN)
    assert 1 == sum(isinstance(event, Blocked) for event in case.events)
    without(case, SECOND)
    registry_speaks(case)
    assert [NOBODY_SIGNS, NOBODY_SIGNS.replace("Head", "Second")] == told(case)
    assert since == case.review.blocked_since


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ((HEAD,), []),
        ((HEAD, HEAD_DEPUTY), [NOBODY_SIGNS]),
        ((OFFICER,), []),
        ((OFFICER, DEPUTY), ["Nobody can rule on it as officer: nobody who may act has the role."]),
        ((OWNER,), []),
        ((OWNER, AUTHOR), ["Nobody can answer for the proposal: nobody who may act has the role."]),
        (REVIEWERS, ["Nobody can judge it by the principles: nobody who may act has the role."]),
        (
            REVIEWERS[1:],
            ["To judge it by the principles, 2 different people are still needed, and only 1 is able to."],
        ),
        ((LEA,), []),
        ((CAI,), [NO_CONSUMER]),
        (
            (LEA, NOA),
            [
                (
                    "To advise in the consumer seat of the Advisory Council and to advise on the Advisory Council, 3 different "
                    "people are still needed, and only 2 are able to."
                )
            ],
        ),
        (tuple(COUNCIL), [NO_CONSUMER, "Nobody can advise on the Advisory Council: nobody who may act has the role."]),
    ],
)
def test_each_part_of_the_route_needs_somebody(gone: tuple[str, ...], said: list[str]) -> None:
    """A deputy will do, and one of several; disabled is as good as gone."""
    case = Case(route(needed=2, panel=3, council=True))
    case.disabled |= set(gone)
    registry_speaks(case)
    assert said == told(case)


def test_training_needs_somebody_whose_word_on_it_counts() -> None:
    """Until it is found complete: a training officer who neither proposes it, nor is on its staff, nor stepped aside."""
    nobody = "Nobody can enter what was completed in training: nobody who may act has the role."
    kept = "Nobody can enter what was completed in training: whoever has the role is kept from this proposal."
    case = Case(route(training=True), grants=[each for each in GRANTS if each.person != TRAINER])
    assert [nobody] == told(case)
    assert Stage.TRAINING is case.review.blocked[0].stage
    for person in (OWNER, AUTHOR, ENGINEER):
        case.grants.append(grant(person, Role.TRAINING_OFFICER))
        registry_speaks(case)
        assert [kept] == told(case)
    case.grants.append(grant(RIN, Role.TRAINING_OFFICER))
    registry_speaks(case)
    assert [] == told(case)
    case.accepts(RIN, Conflict())
    assert [kept] == told(case)
    case.agree_by(JUN)
    assert [True, True] == [turn.blocking for turn in waits_for(case.review) if turn.kinds == ("grant",)]
    case.grants.append(grant(TRAINER, Role.TRAINING_OFFICER))
    registry_speaks(case)
    assert [] == told(case)
    case.trained()
    case.accepts(REGISTER.person, TrainingRecorded())
    without(case, TRAINER)
    registry_speaks(case)
    assert [] == told(case)
    untaught = Case(grants=[each for each in GRANTS if each.person != TRAINER])
    assert [] == told(untaught)


def test_a_quorum_that_is_lost_while_the_council_is_asked_is_missed_at_once() -> None:
    """Not at its deadline: by a seat that somebody lost; who was heard already may go,
    and who steps aside is the officer's.
    """
    case = Case(route(council=True))
    case.agree()
    case.accepts(LEA, opinion())
    without(case, LEA)
    registry_speaks(case)
    assert [] == told(case)
    without(case, CAI)
    registry_speaks(case)
    assert [NO_CONSUMER] == told(case)
    assert [True, True] == [turn.blocking for turn in waits_for(case.review) if turn.kinds == ("grant",)]
    case.grants.append(grant(CAI, Role.COUNCIL_MEMBER, COUNCIL[CAI]))
    registry_speaks(case)
    assert [] == told(case)
    case.accepts(CAI, Recusal())
    assert [] == told(case)
    assert any("no_opinion" in turn.kinds for turn in waits_for(case.review))


def test_whoever_is_kept_from_the_case_does_not_count() -> None:
    """By the unit they come to belong to, for one."""
    case = Case(route(deputies=False))
    case.units[HEAD] = UNIT
    registry_speaks(case)
    assert ["Nobody can sign as Head: whoever has the role is kept from this proposal."] == told(case)


def test_reviewers_and_signatories_compete_for_the_same_people() -> None:
    """One person who holds both roles has one voice; which of the two they use it for is up to them."""
    both = (grant(OWNER, Role.OWNER), grant(OFFICER, Role.OFFICER, "officer"))
    judges = (grant(RIN, Role.REVIEWER), grant(RIN, Role.SIGNATORY, "head"))
    case = Case(route(deputies=False), owner=OWNER, author=OWNER, grants=(*both, *judges))
    said = (
        "To judge it by the principles and to sign as Head, 2 different people are still needed, and only 1 is able to."
    )
    assert [said] == told(case)
    assert Stage.SIGN_OFF is case.review.blocked[0].stage
    case.accepts(RIN, sheet())
    assert ["Nobody can sign as Head: whoever has the role is kept from this proposal."] == told(case)
    case.grants.append(grant(HEAD, Role.SIGNATORY, "head"))
    registry_speaks(case)
    case.sign(HEAD)
    assert case.review.outcome is Outcome.APPROVED


def test_a_role_that_is_left_to_somebody_else_is_held_by_them() -> None:
    """As far as they may act in this case."""
    case = Case(route(deputies=False))
    case.delegates(HEAD, SECOND, Role.SIGNATORY, days=2)
    registry_speaks(case)
    assert [] == told(case)
    case.delegations.clear()
    case.delegates(HEAD, OWNER, Role.SIGNATORY, days=2)
    registry_speaks(case)
    assert ["Nobody can sign as Head: whoever has the role is kept from this proposal."] == told(case)
    case.now += 3 * DAY
    registry_speaks(case)
    assert [] == told(case)


def test_the_present_turn_can_lack_somebody_too() -> None:
    """Advice waits for an answer, and the officer who may give it is the last signatory."""
    its = [g for g in GRANTS if g.person not in (OFFICER, DEPUTY, HEAD, HEAD_DEPUTY)]
    its += [grant(OFFICER, Role.OFFICER, "officer"), grant(OFFICER, Role.SIGNATORY, "head")]
    case = Case(route(council=True), grants=its)
    assert [] == told(case)
    case.agree()
    case.consult("ask them")
    (said,) = told(case)
    assert said.startswith("To rule on it as officer and to sign as Head, 2 different people are still needed")
    case.accepts(OFFICER, answers(case.review))
    assert ["Nobody can sign as Head: whoever has the role is kept from this proposal."] == told(case)


def test_what_was_said_already_is_not_asked_for_again() -> None:
    """A reviewer who gave their verdict may go; on the next revision their place is open anew."""
    case = Case(route(needed=2, panel=2))
    case.accepts(RIN, sheet())
    without(case, RIN, KEI, MAO)
    registry_speaks(case)
    assert [] == told(case)
    case.accepts(JUN, ChangeRequest())
    assert [] == told(case)


def test_a_deadline_notices_it_too_and_a_closed_review_lacks_nothing() -> None:
    """Whatever commits looks; the end is the end of it."""
    case = Case(route(deputies=False))
    without(case, HEAD)
    assert any(isinstance(event, Blocked) for event in case.time_runs_out())
    assert lacking(case.review, case.holders())
    case.disabled.add(RIN)
    case.agree_by(JUN)
    closed = case.review.model_copy(update={"outcome": Outcome.WITHDRAWN})
    assert () == lacking(closed, case.holders())
    assert () == lacking(Review(id="R-2"), case.holders())


def test_a_refused_attempt_changes_nothing() -> None:
    """Whoever may do nothing here can put nothing else on record either."""
    case = Case(route(deputies=False))
    without(case, HEAD)
    before = len(case.events)
    assert Reason.NOT_ENTITLED is case.refusal(OPERATOR, RegistryChanged())
    assert before + 1 == len(case.events)


def test_officer_and_operators_are_told_at_once() -> None:
    """Whatever they prefer; not who has stepped aside, and the operator without being able to read the case."""
    case = Case(route(deputies=False))
    before = case.review
    without(case, HEAD)
    registry_speaks(case)
    blocked = [notice for notice in noticed(before, case.review, case.events[-2:]) if notice.kind is Kind.BLOCKED]
    assert [(Role.OFFICER, NOBODY_SIGNS), (Role.OPERATOR, NOBODY_SIGNS)] == [(n.role, n.what) for n in blocked]
    assert [(OFFICER,), (OPERATOR,)] == [concerned(notice, case.review, case.holders()) for notice in blocked]
    assert Preferences(pace=Pace.NONE, kinds=()).mail_at(Kind.BLOCKED, START) is not None
    assert not case.may_read(OPERATOR)
    aside = case.review.model_copy(update={"aside": (OFFICER, OPERATOR)})
    assert [(), ()] == [concerned(notice, aside, case.holders()) for notice in blocked]
    case.grants.append(grant(HEAD, Role.SIGNATORY, "head"))
    registry_speaks(case)
    assert [(), ()] == [concerned(notice, case.review, case.holders()) for notice in blocked]


def test_it_is_told_in_words_and_names_nobody() -> None:
    """On the record, and where it waits."""
    lack = Lack(stage=Stage.SIGN_OFF, what=NOBODY_SIGNS)
    assert NOBODY_SIGNS == tell(Blocked(at=START, lacking=(lack,))).said
    assert "The route can be fulfilled again." == tell(Unblocked(at=START)).what
    case = Case(route(deputies=False))
    without(case, *REVIEWERS, HEAD, LEA)
    registry_speaks(case)
    people = {each.person for each in GRANTS}
    assert not any(person in what for person in people for what in told(case))


def test_the_record_holds_no_second_word_of_the_same() -> None:
    """What is not news cannot have happened."""
    case = Case()
    lacks = (Lack(stage=Stage.SIGN_OFF, what=NOBODY_SIGNS),)

    def possible(event: Event, review: Review) -> bool:
        return holds(review, None, event)

    blocked = case.review.model_copy(update={"blocked": lacks, "blocked_since": START})
    assert possible(Blocked(at=START, lacking=lacks), case.review)
    assert not possible(Blocked(at=START, lacking=()), case.review)
    assert not possible(Blocked(at=START, lacking=lacks), blocked)
    assert possible(Unblocked(at=START), blocked)
    assert not possible(Unblocked(at=START), case.review)


PEOPLE = "abcde"
SHARES = st.frozensets(st.sampled_from(PEOPLE))


def part(number: int, needed: int, able: frozenset[str]) -> Part:
    """A part of a route."""
    return Part(Stage.SIGN_OFF, f"do {number}", needed, able, held=True)


def filled(parts: tuple[Part, ...]) -> bool:
    """Whether every place can be given to somebody of its own, by trying every way."""
    places = [sorted(each.able) for each in parts for _ in range(each.needed)]
    return any(len(set(way)) == len(way) for way in product(*places))


@given(st.lists(st.tuples(st.integers(0, 2), SHARES), max_size=4))
def test_too_few_are_found_exactly_where_no_way_of_sharing_out_the_people_works(
    drawn: list[tuple[int, frozenset[str]]],
) -> None:
    """Against trying every way. What is named is too much by itself, and without it there is a way for the rest."""
    parts = tuple(part(number, needed, able) for number, (needed, able) in enumerate(drawn))
    groups = short(parts)
    assert filled(parts) is (not groups)
    for group in groups:
        able = frozenset[str]().union(*(each.able for each in group))
        assert len(able) < sum(each.needed for each in group)
    named = {each for group in groups for each in group}
    assert len(named) == sum(map(len, groups))
    assert filled(tuple(each for each in parts if each not in named))


@given(st.lists(st.tuples(st.integers(0, 2), SHARES), max_size=4), st.randoms(use_true_random=False))
def test_what_is_lacking_does_not_depend_on_any_order(drawn: list[tuple[int, frozenset[str]]], random: Random) -> None:
    """Two who look at the same roles say the same, or the record would be asked to change for ever."""
    parts = [part(number, needed, able) for number, (needed, able) in enumerate(drawn)]
    shuffled = parts.copy()
    random.shuffle(shuffled)
    assert {frozenset(g) for g in short(parts)} == {frozenset(g) for g in short(shuffled)}


def incomplete(how: str, *breaches: str) -> Case:
    """A panel of two of whom Jun, some of whose verdicts are carried to a new revision, is lost in this way."""
    case = Case(route(needed=2, panel=2), inputs=lambda text: {"fairness": "a" * 64, "privacy": text})
    case.accepts(JUN, sheet(*breaches))
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    match how:
        case "role":
            without(case, JUN)
        case "disabled":
            case.disabled.add(JUN)
        case "unit":
            case.units[JUN] = UNIT
        case _:
            case.units |= {JUN: "Sales", OWNER: "Sales"}
    return case


@pytest.mark.parametrize("how", ["role", "disabled", "unit", "the owner moves"])
def test_who_cannot_complete_their_verdicts_any_more_keeps_no_seat(how: str) -> None:
    """On record as soon as the registry tells the review; and another reviewer is asked, and heard."""
    case = incomplete(how)
    before = case.review
    assert concerned_by(before, case.holders(), case.facts().units)
    case.accepts(RIN, sheet())
    gone = next(event for event in case.events if isinstance(event, Vacated))
    assert (JUN,) == gone.people
    assert JUN in tell(gone).what
    assert not concerned_by(case.review, case.holders(), case.facts().units)
    assert all(turn.person is None for turn in waits_for(case.review))
    assert () == case.review.blocked
    case.accepts(KEI, sheet())
    assert Stage.SIGN_OFF is case.review.stage
    assert fold(case.review.id, case.events) == case.review


def test_what_is_carried_of_who_lost_their_seat_counts_all_the_same() -> None:
    """A breach that they found is found."""
    case = incomplete("role", "fairness")
    case.accepts(REGISTRY.person, RegistryChanged())
    assert (JUN,) == case.review.vacated
    case.accepts(RIN, sheet("fairness"))
    assert Outcome.DECLINED is case.review.outcome


def test_who_can_complete_their_verdicts_again_has_their_seat_again() -> None:
    """As long as nobody else took it."""
    case = incomplete("disabled")
    case.accepts(REGISTRY.person, RegistryChanged())
    case.disabled.clear()
    case.accepts(REGISTRY.person, RegistryChanged())
    back = case.events[-1]
    assert isinstance(back, Vacated)
    assert () == back.people
    assert "again" in tell(back).what
    assert not holds(case.review, None, back), "nobody has lost theirs"
    assert [JUN] == [turn.person for turn in waits_for(case.review) if turn.person is not None]
    case.accepts(JUN, sheet(on=("privacy",)))
    case.accepts(RIN, sheet())
    assert Stage.SIGN_OFF is case.review.stage
