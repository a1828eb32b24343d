"""How many, and who: n of m, all, any; by named person, role or unit."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from domain.canonical import digest_of
from domain.decisions import ChangeRequest, Question, Reason, RegistryChanged
from domain.entitlement import REGISTRY, eligible
from domain.events import Accepted, Refused
from domain.people import Role
from domain.review import waits_for
from domain.route import OWN, ReviewersRule, Route, SignatoryStep
from domain.stages import Outcome, Stage
from domain.turns import falls_to
from tests.domain.builders import (
    AUTHOR,
    GRANTS,
    HEAD,
    HEAD_DEPUTY,
    JUN,
    KEI,
    OWNER,
    RIN,
    SECOND,
    UNIT,
    Case,
    grant,
    route,
    sheet,
)

HEADS = ("bo.head", "cy.head", "du.head")


def reviewed_by(**rule: object) -> Route:
    """A route whose reviewers are these."""
    return route().model_copy(update={"reviewers": ReviewersRule.model_validate(rule)})


def test_a_step_without_a_deputy_allows_nobody_who_is_not_named() -> None:
    """A grant without an office stands in for nobody."""
    step = SignatoryStep(office="head", title="Head", meaning="approves", people=(HEAD,))
    stranger = grant("somebody.else", Role.SIGNATORY)
    assert stranger.office is None
    assert not eligible(Case().review, step, stranger, None)


def signed_by(**rule: object) -> Route:
    """A route whose first office signs like this, and the second as ever."""
    its = route(signatories=2)
    step = {"office": "head", "title": "Head", "deputy": "head_deputy", "meaning": "approves", **rule}
    return its.model_copy(update={"signatories": (SignatoryStep.model_validate(step), its.signatories[1])})


@pytest.mark.parametrize(("said", "number"), [("all", 3), ("any", 1), (2, 2)])
def test_a_pack_says_in_words_how_many_reviewers_must_agree(said: object, number: int) -> None:
    """All of the panel, any of it, or so many."""
    assert number == ReviewersRule.model_validate({"needed": said, "panel": 3}).needed


@pytest.mark.parametrize(("said", "number"), [("all", 2), ("any", 1), (2, 2)])
def test_a_pack_says_in_words_how_many_must_sign(said: object, number: int) -> None:
    """All of those that it names, any, or so many."""
    step = {"office": "head", "title": "Head", "meaning": "approves", "people": [HEAD, SECOND], "needed": said}
    assert number == SignatoryStep.model_validate(step).needed


@pytest.mark.parametrize(
    "wrong",
    [
        {"office": "head", "title": "Head", "meaning": "approves", "needed": "all"},
        {"office": "head", "title": "Head", "meaning": "approves", "needed": 2, "people": [HEAD]},
        {"office": "head", "title": "Head", "meaning": "approves", "people": [HEAD, HEAD]},
        {"office": "head", "title": "Head", "meaning": "approves", "needed": 0},
    ],
)
def test_a_step_that_nobody_could_meet_is_no_step(wrong: dict[str, object]) -> None:
    """More than are named, everybody of nobody, somebody twice."""
    with pytest.raises(ValidationError):
        SignatoryStep.model_validate(wrong)
    with pytest.raises(ValidationError):
        ReviewersRule.model_validate({"needed": 1, "panel": 2, "people": [RIN]})


def test_what_was_published_before_keeps_its_digest() -> None:
    """What packs could not say at first is written only where it says something."""
    rule = ReviewersRule(needed=2, panel=3)
    assert digest_of({"needed": 2, "panel": 3}) == digest_of(rule)
    step = SignatoryStep(office="head", title="Head", meaning="approves")
    assert digest_of({"office": "head", "title": "Head", "deputy": None, "meaning": "approves"}) == digest_of(step)


def test_unanimity_takes_every_voice_of_the_panel() -> None:
    """One that finds a breach leaves it to the officer; nothing proceeds over it by counting."""
    case = Case(reviewed_by(needed="all", panel=3))
    case.agree_by(RIN, JUN)
    assert Stage.PRINCIPLE_REVIEW is case.review.stage
    case.accepts(KEI, sheet("privacy"))
    assert {Role.OFFICER} == {turn.role for turn in waits_for(case.review)}
    other = Case(reviewed_by(needed="all", panel=3))
    other.agree_by(RIN, JUN, KEI)
    assert Stage.SIGN_OFF is other.review.stage


def test_only_the_named_people_review() -> None:
    """By name; whoever else holds the role is told who does, and has no turn."""
    case = Case(reviewed_by(needed=1, panel=2, people=(JUN, KEI)))
    said = case.say(RIN, sheet())
    assert isinstance(said, Refused)
    assert (Reason.NOT_ENTITLED, f"On this route only {JUN} or {KEI} can do this.") == (said.reason, said.detail)
    assert Reason.NOT_ENTITLED is case.refusal(RIN, ChangeRequest())
    (turn,) = waits_for(case.review)
    assert {JUN, KEI} == {holder.grant.person for holder in case.holders() if falls_to(turn, holder)}
    case.accepts(KEI, sheet())


def test_only_a_unit_reviews() -> None:
    """By where somebody belongs, as the registry says."""
    case = Case(reviewed_by(needed=1, panel=2, unit="Digital Trust"))
    assert Reason.NOT_ENTITLED is case.refusal(RIN, sheet())
    case.units[RIN] = "Digital Trust"
    (turn,) = (turn for turn in waits_for(case.review) if "verdict_sheet" in turn.kinds)
    assert {RIN} == {holder.grant.person for holder in case.holders() if falls_to(turn, holder)}
    case.accepts(RIN, Question())


def test_several_holders_of_an_office_sign_before_the_next_one() -> None:
    """Two of three, each in their own name; the third has no turn any more."""
    heads = tuple(grant(person, Role.SIGNATORY, "head") for person in HEADS[1:])
    case = Case(signed_by(needed=2), grants=(*GRANTS, *heads))
    case.agree()
    assert isinstance(case.sign(HEADS[0]), Accepted)
    (turn,) = waits_for(case.review)
    assert ("head", "Sign, ask, or decline: Head (1 of 2 signed).") == (turn.office, turn.what)
    assert Reason.SEPARATION_OF_DUTIES is getattr(case.sign(HEADS[0]), "reason", None)
    assert Reason.OUT_OF_STAGE is getattr(case.sign(SECOND), "reason", None)
    assert isinstance(case.sign(HEADS[2]), Accepted)
    assert Reason.OUT_OF_STAGE is getattr(case.sign(HEADS[1]), "reason", None)
    assert isinstance(case.sign(SECOND), Accepted)
    assert Outcome.APPROVED is case.review.outcome
    assert case.review.certificate is not None
    assert ["head", "head", "second"] == [sealed.office for sealed in case.review.certificate.signatures]


def test_named_signatories_sign_and_their_deputy_stands_in() -> None:
    """The people named hold the office on this route; when the time has run out, the deputy's holder signs."""
    heads = tuple(grant(person, Role.SIGNATORY, "head") for person in HEADS[1:])
    case = Case(signed_by(people=[HEADS[1]]), grants=(*GRANTS, *heads))
    case.agree()
    assert Reason.NOT_ENTITLED is getattr(case.sign(HEAD), "reason", None)
    case.time_runs_out()
    for turn in waits_for(case.review)[:2]:
        (able,) = {holder.grant.person for holder in case.holders() if falls_to(turn, holder)}
        assert able == (HEADS[1] if turn.office == "head" else HEAD_DEPUTY)
    assert isinstance(case.sign(HEAD_DEPUTY), Accepted)


def test_the_office_of_ones_own_unit_is_kept_to_that_unit() -> None:
    """Of several heads the one of the unit that the proposal comes from; its deputy too."""
    heads = tuple(grant(person, Role.SIGNATORY, "head") for person in HEADS[1:])
    case = Case(signed_by(unit=OWN), grants=(*GRANTS, *heads))
    case.units[HEADS[2]] = UNIT
    case.agree()
    (turn,) = waits_for(case.review)
    assert {HEADS[2]} == {holder.grant.person for holder in case.holders() if falls_to(turn, holder)}
    assert Reason.NOT_ENTITLED is getattr(case.sign(HEADS[0]), "reason", None)
    case.time_runs_out()
    assert Reason.NOT_ENTITLED is getattr(case.sign(HEAD_DEPUTY), "reason", None)
    assert isinstance(case.sign(HEADS[2]), Accepted)


@pytest.mark.parametrize("person", [OWNER, AUTHOR])
def test_nobody_comes_to_an_office_by_a_move_of_who_stands_for_the_proposal(person: str) -> None:
    """The unit is the one that the proposal names, wherever its people belong or move to."""
    heads = tuple(grant(head, Role.SIGNATORY, "head") for head in HEADS[1:])
    case = Case(signed_by(unit=OWN), grants=(*GRANTS, *heads))
    case.units |= {HEADS[0]: "Sales", HEADS[2]: UNIT}
    case.agree()
    case.units[person] = "Sales"
    case.accepts(REGISTRY.person, RegistryChanged())
    assert "Sales" in case.review.units
    assert Reason.NOT_ENTITLED is getattr(case.sign(HEADS[0]), "reason", None)
    assert isinstance(case.sign(HEADS[2]), Accepted)


@pytest.mark.parametrize("speaks", [True, False])
def test_an_office_that_speaks_for_the_unit_may_be_held_by_one_of_it(speaks: bool) -> None:
    """By anybody, of that unit or another; where it does not, one's own unit is a conflict."""
    case = Case(signed_by(speaks_for_unit=speaks))
    case.units[HEAD] = UNIT
    case.agree()
    signed = case.sign(HEAD)
    assert isinstance(signed, Accepted) is speaks
    assert speaks or Reason.CONFLICT_OF_INTEREST is getattr(signed, "reason", None)
    other = Case(signed_by(speaks_for_unit=speaks))
    other.agree()
    assert isinstance(other.sign(HEAD), Accepted)
