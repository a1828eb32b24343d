"""Principle review: sheets, breaches, change requests, questions, the officer's ruling."""

from __future__ import annotations

from itertools import product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import principles
from domain.decisions import (
    ChangeRequest,
    Finding,
    Question,
    QuestionAnswer,
    Reason,
    Revision,
    Ruling,
    Verdict,
    VerdictSheet,
)
from domain.events import Refused
from domain.people import Role
from domain.review import waits_for
from domain.route import Phase
from domain.stages import Outcome, Stage
from domain.state import conditions
from tests.domain.builders import (
    AUTHOR,
    DEPUTY,
    GRANTS,
    OFFICER,
    OUTSIDER,
    OWNER,
    REVIEWERS,
    Case,
    grant,
    route,
    sheet,
    text_digest,
)

PROCEED, DECLINE = Ruling(ruling="proceed"), Ruling(ruling="decline")


@given(st.integers(1, 3).flatmap(lambda needed: st.tuples(st.just(needed), st.integers(needed, 4))), st.data())
def test_sheets_decide_as_soon_as_they_can(rule: tuple[int, int], data: st.DataObject) -> None:
    """N agreeing sheets complete the stage, n breaches on one principle decline, all in and neither is the officer's."""
    needed, panel = rule
    case = Case(route(needed=needed, panel=panel))
    agreeing, breaches = 0, {"fairness": 0, "privacy": 0}
    for person in REVIEWERS[:panel]:
        broken = data.draw(st.sets(st.sampled_from(sorted(breaches))))
        case.accepts(person, sheet(*broken))
        agreeing += not broken
        for principle in broken:
            breaches[principle] += 1
        if max(breaches.values()) >= needed:
            assert case.review.outcome is Outcome.DECLINED
            return
        if agreeing >= needed:
            assert Stage.PRINCIPLE_REVIEW in case.review.passed
            return
        assert case.review.stage is Stage.PRINCIPLE_REVIEW
    assert principles.undecided(case.review)
    assert [Role.OFFICER] == [turn.role for turn in waits_for(case.review)]


def test_breaches_on_different_principles_do_not_add_up() -> None:
    """Two reviewers who each see another breach have not agreed on one."""
    case = Case(route(needed=2, panel=3))
    case.accepts(REVIEWERS[0], sheet("fairness"))
    case.accepts(REVIEWERS[1], sheet("privacy"))
    assert not case.review.closed
    assert {"fairness": 1, "privacy": 1} == principles.breaches(case.review)


def verdict(principle: str) -> Verdict:
    """A verdict that respects."""
    return Verdict(principle=principle, finding=Finding.RESPECTED, reason="as described")


@pytest.mark.parametrize(
    ("judged", "reason"),
    [
        (("fairness",), Reason.INCOMPLETE),
        (("fairness", "privacy", "elegance"), Reason.INVALID),
        (("fairness", "privacy", "privacy"), Reason.INVALID),
    ],
)
def test_a_sheet_judges_each_principle_once(judged: tuple[str, ...], reason: Reason) -> None:
    """Not one missing, not one twice, none that the route doesn't name."""
    case = Case()
    assert reason is case.refusal(REVIEWERS[0], VerdictSheet(verdicts=tuple(verdict(name) for name in judged)))
    assert not case.review.sheets


def test_a_reviewer_gives_one_sheet_a_round() -> None:
    """The second is refused; after a revision there is a new round, and a new sheet."""
    case = Case(route(needed=2, panel=3))
    case.accepts(REVIEWERS[0], sheet())
    assert Reason.ALREADY_GIVEN is case.refusal(REVIEWERS[0], sheet("privacy"))
    case.accepts(REVIEWERS[1], ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert not case.review.sheets
    case.accepts(REVIEWERS[0], sheet())


def test_no_more_sheets_than_the_panel_has() -> None:
    """A sheet after the last one of the panel comes too late: the officer rules."""
    case = Case(route(needed=2, panel=2))
    case.accepts(REVIEWERS[0], sheet())
    case.accepts(REVIEWERS[1], sheet("privacy"))
    assert Reason.OUT_OF_STAGE is case.refusal(REVIEWERS[2], sheet())


@pytest.mark.parametrize("kind", [sheet(), ChangeRequest(), Question()])
def test_reviewers_act_in_their_stage(kind: VerdictSheet | ChangeRequest | Question) -> None:
    """After principle review a reviewer neither judges, nor asks, nor sends back."""
    case = Case(route(training=True))
    case.agree()
    assert case.review.stage is Stage.TRAINING
    assert Reason.OUT_OF_STAGE is case.refusal(REVIEWERS[1], kind)


def test_whoever_is_reviewer_and_officer_acts_under_the_grant_that_fits() -> None:
    """After principle review, an officer who reviews too asks for changes as officer."""
    both = grant(OFFICER, Role.REVIEWER)
    case = Case(route(training=True), grants=(both, *GRANTS))
    case.agree()
    case.accepts(OFFICER, ChangeRequest())
    assert case.review.changes is not None


AT = {
    "review": Phase.REVIEWING,
    "council": Phase.CONSULTING,
    "answers": Phase.ANSWERING_ADVICE,
    "training": Phase.TRAINING,
    "sign_off": Phase.SIGNING,
}


@pytest.mark.parametrize("at", AT)
def test_a_change_request_sends_it_back_and_a_revision_begins_a_new_round(at: str) -> None:
    """Wherever it stands, nothing of the old round counts in the new one."""
    case = Case(route(council=True, training=True))
    if at != "review":
        case.agree()
    if at == "answers":
        case.consult("ask them")
    if at == "sign_off":
        case.trained()
    if at in ("training", "sign_off"):
        case.consult()
    assert AT[at] is case.review.phase
    case.accepts(OFFICER, ChangeRequest())
    assert (Stage.PRINCIPLE_REVIEW, Phase.WITH_OWNER) == (case.review.stage, case.review.phase)
    assert Reason.ALREADY_GIVEN is case.refusal(OFFICER, ChangeRequest())
    assert Reason.OUT_OF_STAGE is case.refusal(REVIEWERS[1], sheet())
    case.accepts(AUTHOR, Revision(proposal=text_digest(2)))
    review = case.review
    assert (2, 2, text_digest(2)) == (review.revision, review.round, review.content_digest)
    assert (Stage.PRINCIPLE_REVIEW, Phase.REVIEWING) == (review.stage, review.phase)
    assert not any((review.passed, review.sheets, review.council.opinions, review.training, review.signatures))


def test_a_revision_answers_a_change_request() -> None:
    """Nobody revises what nobody asked to change; the new text is another one, by the owner or author,
    for the same owner.
    """
    case = Case()
    assert Reason.OUT_OF_STAGE is case.refusal(OWNER, Revision(proposal=text_digest(2)))
    case.accepts(REVIEWERS[0], ChangeRequest())
    assert Reason.INVALID is case.refusal(OWNER, Revision(proposal=text_digest(1)))
    assert Reason.STALE is case.refusal(OWNER, Revision(proposal=text_digest(2)), digest=text_digest(9))
    assert Reason.NOT_ENTITLED is case.refusal(OUTSIDER, Revision(proposal=text_digest(2)))
    case.owner = AUTHOR
    assert Reason.INVALID is case.refusal(AUTHOR, Revision(proposal=text_digest(2)))
    case.owner = OWNER
    case.accepts(OWNER, Revision(proposal=text_digest(2)))


def test_a_sheet_on_the_text_before_is_stale() -> None:
    """A reviewer never judges a text that changed under them, not even where the text came back to what it was."""
    case = Case()
    late = case.envelope(REVIEWERS[1], sheet())
    for number in (2, 1):
        case.accepts(REVIEWERS[0], ChangeRequest())
        case.accepts(OWNER, Revision(proposal=text_digest(number)))
        assert Reason.STALE is getattr(case.take(late), "reason", None)


def test_a_question_is_asked_and_answered_without_a_change_request() -> None:
    """It holds up nothing in principle review, stays the owner's turn,
    and its answer is what later signatures rest on.
    """
    case = Case()
    case.accepts(REVIEWERS[1], Question())
    (asked,) = case.review.questions
    assert "because" == asked.text
    case.agree()
    assert case.review.stage is Stage.SIGN_OFF
    owners = [turn for turn in waits_for(case.review) if turn.role is Role.OWNER]
    assert [("answer",)] == [turn.kinds for turn in owners]
    assert not any(turn.blocking for turn in owners)
    assert Reason.UNKNOWN_REFERENCE is case.refusal(OWNER, QuestionAnswer(question=UUID(int=99)))
    assert Reason.NOT_ENTITLED is case.refusal(REVIEWERS[0], QuestionAnswer(question=asked.by.decision))
    case.accepts(AUTHOR, QuestionAnswer(question=asked.by.decision))
    assert not case.review.questions
    assert 1 == len(case.review.answered)


def test_there_is_an_end_to_questions() -> None:
    """Twenty open questions wait for their answers before there is another."""
    case = Case()
    for number in range(20):
        case.accepts(REVIEWERS[number % 4], Question())
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, Question())


def test_nobody_uses_up_the_questions_of_all() -> None:
    """Five open ones of one person, and of whoever acts in their place, wait for an answer; others ask theirs."""
    case = Case()
    for _ in range(5):
        case.accepts(REVIEWERS[0], Question())
    refused = case.take(case.envelope(REVIEWERS[0], Question()))
    assert isinstance(refused, Refused)
    assert (Reason.OUT_OF_STAGE, "Five of your questions are open") == (
        refused.reason,
        refused.detail.partition(";")[0],
    )
    case.delegates(REVIEWERS[0], OUTSIDER, Role.REVIEWER)
    assert Reason.OUT_OF_STAGE is case.refusal(OUTSIDER, Question())
    case.accepts(REVIEWERS[1], Question())
    case.accepts(OWNER, QuestionAnswer(question=case.review.questions[0].by.decision))
    case.accepts(OUTSIDER, Question())


def undecided() -> Case:
    """A panel that is complete and came to nothing."""
    case = Case(route(needed=2, panel=2))
    case.accepts(REVIEWERS[0], sheet())
    case.accepts(REVIEWERS[1], sheet("privacy"))
    return case


@pytest.mark.parametrize("ruling", [PROCEED, DECLINE])
def test_the_officer_rules_where_the_panel_did_not(ruling: Ruling) -> None:
    """They decide with a reason, either way; nobody else does."""
    case = undecided()
    assert Reason.NOT_ENTITLED is case.refusal(DEPUTY, ruling)
    case.accepts(OFFICER, ruling)
    assert (ruling == PROCEED) is (Stage.PRINCIPLE_REVIEW in case.review.passed)
    assert (ruling == DECLINE) is (case.review.outcome is Outcome.DECLINED)


@pytest.mark.parametrize("ruling", [PROCEED, DECLINE])
def test_a_ruling_is_given_once(ruling: Ruling) -> None:
    """An undecided panel is no licence to rule again, in later stages, under the signatures' feet."""
    case = undecided()
    case.accepts(OFFICER, PROCEED)
    assert case.review.stage is Stage.SIGN_OFF
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, ruling)


@pytest.mark.parametrize("ruling", [PROCEED, DECLINE])
def test_the_officer_does_not_rule_before_time(ruling: Ruling) -> None:
    """While reviewers still have time, and the panel is not complete, it is theirs."""
    case = Case(route(needed=2, panel=3))
    case.accepts(REVIEWERS[0], sheet())
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, ruling)


def test_time_alone_lets_nothing_proceed() -> None:
    """Where nobody gave a sheet in time, the officer can decline or extend, and not wave it through."""
    case = Case()
    case.time_runs_out()
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, PROCEED)
    case.accepts(OFFICER, DECLINE)
    assert case.review.outcome is Outcome.DECLINED


def test_what_sheets_there_are_can_do_when_time_has_run_out() -> None:
    """The officer may rule on the sheets that came in, and the reviewers may still complete them."""
    for ending, first in product(("ruling", "sheet"), (sheet(), sheet("privacy"))):
        case = Case(route(needed=2, panel=3))
        case.accepts(REVIEWERS[0], first)
        case.time_runs_out()
        assert {Role.REVIEWER, Role.OFFICER} == {turn.role for turn in waits_for(case.review)}
        if ending == "ruling":
            case.accepts(OFFICER, PROCEED)
        else:
            case.accepts(REVIEWERS[1], sheet())
            case.say(REVIEWERS[2], sheet())
        assert Stage.PRINCIPLE_REVIEW in case.review.passed


def test_an_officer_who_proposes_leaves_the_ruling_to_the_deputy() -> None:
    """The officer may not judge their own proposal; when the time for it has run out, the deputy may."""
    case = Case(route(needed=2, panel=2), owner=OFFICER, grants=(*GRANTS, grant(OFFICER, Role.OWNER)))
    case.accepts(REVIEWERS[0], sheet())
    case.accepts(REVIEWERS[1], sheet("privacy"))
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(OFFICER, PROCEED)
    assert Reason.NOT_ENTITLED is case.refusal(DEPUTY, PROCEED)
    case.time_runs_out()
    assert {"officer", "deputy_officer"} == {turn.office for turn in waits_for(case.review)}
    assert all(OFFICER in turn.not_for for turn in waits_for(case.review))
    case.accepts(DEPUTY, PROCEED)


def test_an_overdue_owner_is_declined_or_given_time() -> None:
    """A proposal that its owner left lying is the officer's, who can't let it proceed as it is."""
    case = Case()
    case.accepts(REVIEWERS[0], ChangeRequest())
    case.time_runs_out()
    assert {Role.OWNER, Role.OFFICER} == {
        turn.role for turn in waits_for(case.review) if turn.office != "deputy_officer"
    }
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, PROCEED)
    case.accepts(OFFICER, DECLINE)


def test_a_concern_can_carry_a_condition_and_nothing_else_can() -> None:
    """The conditions of the sheets stand in the order of the sheets; a breach has no condition that would mend it."""
    case = Case(route(needed=2, panel=2))
    case.accepts(REVIEWERS[0], sheet(condition="test it first"))
    case.accepts(REVIEWERS[1], sheet())
    assert [(REVIEWERS[0], "verdict")] * 2 == [(c.set_by, c.source) for c in conditions(case.review)]
    with pytest.raises(ValueError, match="only a concern"):
        Verdict(principle="privacy", finding=Finding.BREACH, reason="no", condition="if")
