"""Delta review: what of a reviewer's verdicts stands on a new revision, what reopens, and how a principle is reopened."""

from __future__ import annotations

import pytest

from domain import principles, sign_off
from domain.decisions import (
    ChangeRequest,
    Extension,
    Finding,
    Reason,
    Reopening,
    Revision,
    Ruling,
    Verdict,
    VerdictSheet,
)
from domain.events import Accepted, Assessed, Refused
from domain.narrative import tell
from domain.people import Assigned, Role
from domain.review import fold, waits_for
from domain.route import Phase
from domain.stages import Outcome, Stage
from domain.state import Review, conditions
from domain.turns import Change, changes
from domain.values import Digest
from tests.domain.builders import (
    AUTHOR,
    DAY,
    GRANTS,
    HEAD,
    JUN,
    KEI,
    MAO,
    OFFICER,
    OUTSIDER,
    OWNER,
    RIN,
    UNIT,
    Case,
    grant,
    route,
    sheet,
    text_digest,
)

# What each text is judged by. From 1 to 2 privacy changes, from 2 to 3 nothing that is judged, from 3 to 4 everything.
TEXTS = {
    text_digest(1): {"fairness": "a" * 64, "privacy": "b" * 64},
    text_digest(2): {"fairness": "a" * 64, "privacy": "c" * 64},
    text_digest(3): {"fairness": "a" * 64, "privacy": "c" * 64},
    text_digest(4): {"fairness": "d" * 64, "privacy": "e" * 64},
}
PRIVACY = sheet(on=("privacy",))


def judged_by(text: Digest) -> dict[str, Digest]:
    """What the principles are judged by in this text."""
    return TEXTS[text]


def a_case(needed: int = 2, panel: int = 3, signatories: int = 1) -> Case:
    """A review of the first text."""
    return Case(route(needed=needed, panel=panel, signatories=signatories), inputs=judged_by)


def revise(case: Case, number: int) -> None:
    """Have another text submitted, because the officer asked for changes."""
    case.accepts(OFFICER, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(number)))


def standing(review: Review) -> list[tuple[str, list[str], int | None]]:
    """What counts of which sheets: whose, on which principles, carried from which revision."""
    return [(s.by.person, [found.principle for found in s.findings], s.carried_from) for s in review.sheets]


def asked(review: Review) -> dict[str | None, tuple[str, ...]]:
    """Who is asked for verdicts on which principles; None is any reviewer who has not spoken."""
    return {turn.person: turn.principles for turn in waits_for(review) if turn.role is Role.REVIEWER}


def test_only_what_changed_is_judged_anew() -> None:
    """The rest is carried, marked; who gave it is asked for the open principle alone, anybody else for all of them."""
    case = a_case()
    case.accepts(RIN, sheet())
    revise(case, 2)
    assert [(RIN, ["fairness"], 1)] == standing(case.review)
    assert {RIN: ("privacy",), None: ("fairness", "privacy")} == asked(case.review)
    assert 0 == principles.agreeing(case.review)

    assert Reason.INCOMPLETE is case.refusal(JUN, PRIVACY)
    case.accepts(RIN, PRIVACY)
    assert Reason.ALREADY_GIVEN is case.refusal(RIN, PRIVACY)
    assert [(RIN, ["fairness"], 1), (RIN, ["privacy"], None)] == standing(case.review)
    assert {None: ("fairness", "privacy")} == asked(case.review)
    case.accepts(JUN, sheet())
    assert case.review.passed[Stage.PRINCIPLE_REVIEW].because == (
        "2 of at most 3 reviewers found no breach. Carried, because what they judge by is the same: "
        "of revision 1 on fairness."
    )


def test_a_sheet_for_the_rest_is_exactly_that() -> None:
    """Not what is carried, not less than what is open, nothing twice."""
    case = a_case()
    case.accepts(RIN, sheet())
    revise(case, 2)
    verdict = Verdict(principle="privacy", finding=Finding.RESPECTED, reason="as described")
    for judged, reason in (
        (sheet(on=("fairness",)), Reason.INCOMPLETE),
        (sheet(), Reason.ALREADY_GIVEN),
        (sheet(on=("privacy", "elegance")), Reason.INVALID),
        (VerdictSheet(verdicts=(verdict, verdict)), Reason.INVALID),
    ):
        assert reason is case.refusal(RIN, judged)
    assert [(RIN, ["fairness"], 1)] == standing(case.review)


def test_where_nothing_that_is_judged_changed_the_stage_is_passed_at_once() -> None:
    """The record says that every verdict is carried, and from where."""
    case = a_case()
    for person in (RIN, JUN):
        case.accepts(person, sheet())
    revise(case, 2)
    for person in (RIN, JUN):
        case.accepts(person, PRIVACY)
    assert case.review.stage is Stage.SIGN_OFF
    revise(case, 3)
    assert case.review.stage is Stage.SIGN_OFF
    assert case.review.passed[Stage.PRINCIPLE_REVIEW].because.endswith(
        "every verdict is carried, of revision 1 on fairness; of revision 2 on privacy."
    )
    parts = [part.what for part in sign_off.rests_on(case.review)]
    assert [
        "verdict sheet 1, carried from revision 1",
        "verdict sheet 2, carried from revision 1",
        "verdict sheet 3, carried from revision 2",
        "verdict sheet 4, carried from revision 2",
    ] == [part for part in parts if part.startswith("verdict sheet")]
    case.sign(HEAD)
    assert case.review.certificate is not None
    assert case.review.certificate.rests_on[:-1] == sign_off.rests_on(case.review)[:-1]


def test_where_everything_changed_nothing_is_carried() -> None:
    """As on a review whose record is older than the carrying of verdicts: it tells no inputs."""
    for case in (a_case(), Case(route(needed=2, panel=3), inputs=lambda _: {})):
        case.accepts(RIN, sheet())
        revise(case, 4)
        assert [] == standing(case.review)
        assert {None: ("fairness", "privacy")} == asked(case.review)


def test_a_carried_breach_counts() -> None:
    """With a second reviewer who finds it too, it declines the proposal; it stands as dissent if it does not prevail."""
    case = a_case()
    case.accepts(RIN, sheet("fairness"))
    revise(case, 2)
    assert 1 == principles.breaches(case.review)["fairness"]
    case.accepts(JUN, sheet("fairness"))
    assert case.review.outcome is Outcome.DECLINED

    other = a_case()
    other.accepts(RIN, sheet("fairness"))
    revise(other, 2)
    other.accepts(RIN, PRIVACY)
    assert 0 == principles.agreeing(other.review)
    for person in (JUN, KEI):
        other.accepts(person, sheet())
    other.sign(HEAD)
    assert other.review.certificate is not None
    assert [(RIN, "fairness")] == [(d.person, d.about) for d in other.review.certificate.dissent]


def test_a_condition_is_carried_with_its_verdict_and_falls_with_it() -> None:
    """The one on the principle that changed has to be set again."""
    case = a_case(1, 1)
    case.accepts(RIN, sheet(condition="test it first"))
    assert 2 == len(conditions(case.review))
    revise(case, 2)
    assert ["test it first"] == [condition.text for condition in conditions(case.review)]
    case.accepts(RIN, sheet(condition="delete it", on=("privacy",)))
    assert ["test it first", "delete it"] == [condition.text for condition in conditions(case.review)]


def test_who_may_no_longer_judge_has_nothing_carried() -> None:
    """A reviewer who comes to work on the proposal or to write it; the others keep what they gave."""
    grants = (*GRANTS, grant(JUN, Role.OWNER))
    case = Case(route(needed=3, panel=4), inputs=judged_by, grants=grants)
    for person in (RIN, JUN):
        case.accepts(person, sheet())
    case.staff = (*case.staff, Assigned(person=RIN, role="engineer"))
    revise(case, 2)
    assert [(JUN, ["fairness"], 1)] == standing(case.review)
    case.author = JUN
    revise(case, 3)
    assert [] == standing(case.review)
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(JUN, sheet())


def test_who_asked_for_changes_and_gave_no_sheet_has_nothing_carried() -> None:
    """They judge the revision whole."""
    case = a_case()
    case.accepts(RIN, sheet())
    case.accepts(JUN, ChangeRequest())
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert [RIN] == [person for person, _, _ in standing(case.review)]
    assert Reason.INCOMPLETE is case.refusal(JUN, PRIVACY)
    case.accepts(JUN, sheet())


def test_a_ruling_is_not_carried() -> None:
    """Where the same verdicts leave it undecided again, the officer rules again, on the new text."""
    case = a_case(2, 2)
    case.accepts(RIN, sheet())
    case.accepts(JUN, sheet("privacy"))
    case.accepts(OFFICER, Ruling(ruling="proceed"))
    assert case.review.stage is Stage.SIGN_OFF
    revise(case, 2)
    for person, judged in ((RIN, PRIVACY), (JUN, sheet("privacy", on=("privacy",)))):
        case.accepts(person, judged)
    assert principles.undecided(case.review)
    case.accepts(OFFICER, Ruling(ruling="proceed"))
    revise(case, 3)
    assert case.review.ruling is None
    assert principles.undecided(case.review)


def test_who_has_to_complete_their_verdicts_keeps_their_seat_until_time_runs_out() -> None:
    """Then another reviewer may take it; a place on the panel is not taken twice."""
    case = a_case(2, 2)
    case.accepts(RIN, sheet())
    case.accepts(JUN, sheet("fairness"))
    revise(case, 2)
    assert {RIN: ("privacy",), JUN: ("privacy",)} == asked(case.review)
    assert Reason.OUT_OF_STAGE is case.refusal(KEI, sheet())
    case.accepts(RIN, PRIVACY)
    case.time_runs_out()
    assert {JUN: ("privacy",), None: ("fairness", "privacy")} == asked(case.review)
    case.accepts(KEI, sheet("privacy"))
    assert principles.undecided(case.review)
    assert Reason.OUT_OF_STAGE is case.refusal(JUN, PRIVACY)


def test_who_has_to_complete_their_verdicts_can_be_given_more_time_than_the_others() -> None:
    """They are asked by name, so they keep their seat for as long; by their verdicts, or somebody's in their place, it is
    done.
    """
    case = a_case(2, 2)
    case.accepts(RIN, sheet())
    case.accepts(JUN, sheet("fairness"))
    revise(case, 2)
    due_at = case.review.due_at
    assert due_at is not None
    case.accepts(OFFICER, Extension(until=due_at + 30 * DAY, person=JUN))
    assert {RIN: due_at, JUN: due_at + 30 * DAY} == {turn.person: turn.due_at for turn in waits_for(case.review)}
    case.time_runs_out()
    assert {RIN: ("privacy",), JUN: ("privacy",), None: ("fairness", "privacy")} == asked(case.review)
    case.accepts(KEI, sheet("privacy"))
    assert Reason.OUT_OF_STAGE is case.refusal(MAO, sheet())
    case.time_runs_out(JUN)
    assert case.review.late(JUN)
    case.accepts(JUN, PRIVACY)
    assert case.review.clock_of(JUN) is None


def test_nobody_lets_a_proposal_proceed_on_verdicts_that_are_carried_in_part() -> None:
    """Where time has run out, at least one reviewer must have been heard on every principle of this text."""
    case = a_case()
    case.accepts(RIN, sheet())
    revise(case, 2)
    case.time_runs_out()
    assert Reason.OUT_OF_STAGE is case.refusal(OFFICER, Ruling(ruling="proceed"))
    case.accepts(RIN, PRIVACY)
    case.accepts(OFFICER, Ruling(ruling="proceed"))


# Reopening.

REOPENED = Reopening(principle="fairness")


def test_a_reviewer_reopens_what_is_carried_for_everybody() -> None:
    """Each who judged it is asked for it anew; what was given on this revision stays."""
    case = a_case(3, 4)
    for person in (RIN, JUN):
        case.accepts(person, sheet())
    revise(case, 2)
    case.accepts(JUN, PRIVACY)
    case.accepts(KEI, sheet())
    case.accepts(KEI, REOPENED)
    assert [(JUN, ["privacy"], None), (KEI, ["fairness", "privacy"], None)] == standing(case.review)
    assert {JUN: ("fairness",), None: ("fairness", "privacy")} == asked(case.review)
    assert Reason.UNKNOWN_REFERENCE is case.refusal(JUN, REOPENED)
    case.accepts(JUN, sheet(on=("fairness",)))
    case.accepts(RIN, sheet())
    assert case.review.stage is Stage.SIGN_OFF
    assert "Carried" not in case.review.passed[Stage.PRINCIPLE_REVIEW].because


def test_to_be_asked_for_one_more_principle_is_another_turn() -> None:
    """So whoever is asked is told again, and not only shown other words."""
    case = a_case()
    case.accepts(RIN, sheet())
    revise(case, 2)
    turn = next(turn for turn in waits_for(case.review) if turn.person == RIN)
    more = turn.model_copy(update={"principles": ("fairness", "privacy")})
    assert [Change(was=turn, now=None), Change(was=None, now=more)] == list(changes((turn,), (more,)))
    other_words = turn.model_copy(update={"what": "Complete them."})
    assert [Change(was=turn, now=other_words)] == list(changes((turn,), (other_words,)))


def test_only_what_is_carried_is_reopened_and_only_by_reviewers_who_may_judge() -> None:
    """Not a principle that nobody judges by, nor one that was judged on this text, nor while a new text is awaited."""
    grants = (*GRANTS, grant(AUTHOR, Role.REVIEWER))
    case = Case(route(needed=2, panel=3), inputs=judged_by, grants=grants)
    case.accepts(RIN, sheet())
    assert Reason.UNKNOWN_REFERENCE is case.refusal(RIN, REOPENED)
    revise(case, 2)
    for principle in ("privacy", "elegance"):
        assert Reason.UNKNOWN_REFERENCE is case.refusal(RIN, Reopening(principle=principle))
    assert Reason.NOT_ENTITLED is case.refusal(OUTSIDER, REOPENED)
    assert Reason.NOT_ENTITLED is case.refusal(OFFICER, REOPENED)
    assert Reason.SEPARATION_OF_DUTIES is case.refusal(AUTHOR, REOPENED)
    case.accepts(OFFICER, ChangeRequest())
    assert Reason.OUT_OF_STAGE is case.refusal(JUN, REOPENED)
    assert [(RIN, ["fairness"], 1)] == standing(case.review)


def test_a_stage_that_was_passed_on_carried_verdicts_can_be_reopened() -> None:
    """It was passed with the revision itself, before anybody could object: the review goes back, and signatures lapse."""
    case = a_case(1, 1, signatories=2)
    case.accepts(RIN, sheet())
    revise(case, 2)
    case.accepts(RIN, PRIVACY)
    revise(case, 3)
    case.sign(HEAD)
    assert isinstance(case.say(JUN, REOPENED), Accepted)
    assert case.review.phase is Phase.REVIEWING
    assert () == case.review.signatures
    assert {RIN: ("fairness",)} == asked(case.review)
    case.accepts(RIN, sheet(on=("fairness",)))
    assert case.review.stage is Stage.SIGN_OFF
    assert Reason.UNKNOWN_REFERENCE is case.refusal(JUN, REOPENED)


def test_a_ruling_on_verdicts_that_are_reopened_no_longer_counts() -> None:
    """The officer ruled on what was on the table; it is not all there any more."""
    case = a_case(2, 2)
    case.accepts(RIN, sheet())
    case.accepts(JUN, sheet("fairness"))
    revise(case, 2)
    for person in (RIN, JUN):
        case.accepts(person, PRIVACY)
    case.accepts(OFFICER, Ruling(ruling="proceed"))
    case.accepts(KEI, REOPENED)
    assert case.review.ruling is None
    assert case.review.phase is Phase.REVIEWING
    case.accepts(JUN, sheet(on=("fairness",)))
    case.accepts(RIN, sheet(on=("fairness",)))
    assert case.review.stage is Stage.SIGN_OFF


# The record.


def test_the_record_tells_what_changed_what_is_carried_and_what_is_open() -> None:
    """In the entry of the revision; the fold needs nothing else."""
    case = a_case()
    case.accepts(RIN, sheet())
    case.changes = ("/answers/kept_for_months",)
    revise(case, 2)
    entry = next(event for event in reversed(case.events) if isinstance(event, Assessed))
    assert (("privacy",), {RIN: ("fairness",)}) == (entry.reopened, entry.carried)
    assert tell(entry).what.endswith("To be judged anew: privacy. Verdicts carried: rin.reviewer on fairness.")
    assert (tell(entry).said or "").endswith("Changed: /answers/kept_for_months")
    assert case.review == fold("R-1", case.events)
    revise(case, 3)
    entry = next(event for event in reversed(case.events) if isinstance(event, Assessed))
    assert ((), {RIN: ("fairness",)}) == (entry.reopened, entry.carried)
    assert tell(entry).what.endswith("Every principle is judged as before. Verdicts carried: rin.reviewer on fairness.")
    assert {RIN: ("privacy",)}.items() <= asked(case.review).items()


@pytest.mark.parametrize("missing", ["carried", "changes", "reopened"])
def test_an_entry_of_before_is_read_and_carries_nothing(missing: str) -> None:
    """Records are read for ever; where they tell nothing of carrying, every principle was judged anew."""
    case = a_case()
    case.accepts(RIN, sheet())
    revise(case, 2)
    events = [
        Assessed.model_validate_json(event.model_dump_json(exclude={missing})) if isinstance(event, Assessed) else event
        for event in case.events
    ]
    assert (missing == "carried") is not bool(fold("R-1", events).sheets)
    assert not any(isinstance(event, Refused) for event in events)


@pytest.mark.parametrize("kept_away", ["staff", "unit"])
@pytest.mark.parametrize("person", [RIN, OUTSIDER])
def test_what_somebody_said_whom_the_new_text_keeps_away_is_not_carried(person: str, kept_away: str) -> None:
    """Whoever judged, and whoever left it to them: named as staff by the revision, or of the unit that it comes from."""
    case = a_case(needed=2, panel=3)
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    case.accepts(OUTSIDER, sheet())
    case.accepts(JUN, sheet())
    case.accepts(OFFICER, ChangeRequest())
    if kept_away == "staff":
        case.staff = (*case.staff, Assigned(person=person, role="engineer"))
    else:
        case.units[person] = UNIT
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert [(JUN, ["fairness"], 1)] == standing(case.review)
    assert fold("R-1", case.events) == case.review


def test_of_a_voice_that_two_people_lent_each_other_what_one_of_them_said_stands() -> None:
    """The delegate's part is not carried, the holder's is."""
    case = a_case(needed=2, panel=3)
    case.accepts(RIN, sheet())
    revise(case, 2)
    lent = case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    case.accepts(OUTSIDER, PRIVACY)
    case.delegations.remove(lent)
    case.staff = (*case.staff, Assigned(person=OUTSIDER, role="engineer"))
    revise(case, 3)
    assert [(RIN, ["fairness"], 1)] == standing(case.review)
    case.accepts(RIN, PRIVACY)


def test_a_delegate_who_judges_too_completes_what_the_giver_began() -> None:
    """Where the panel has a seat for nobody else, it is the giver's place that they are asked to take."""
    case = a_case(needed=2, panel=2)
    case.accepts(RIN, sheet())
    revise(case, 2)
    case.accepts(KEI, sheet())
    assert {RIN: ("privacy",)} == asked(case.review)
    case.delegates(RIN, JUN, Role.REVIEWER)
    case.accepts(JUN, PRIVACY)
    said = case.review.sheets[-1].by
    assert (JUN, RIN) == (said.person, said.voice)


@pytest.mark.parametrize("how", ["disabled", "lost", "moved", "given anew by the owner"])
def test_what_somebody_said_who_holds_no_role_for_it_any_more_is_not_carried(how: str) -> None:
    """Their account was disabled, the role taken, or they left the unit that the route keeps it to; or they hold it by
    somebody's doing who has a part in it.
    """
    its = route(needed=2, panel=3)
    case = Case(
        its.model_copy(update={"reviewers": its.reviewers.model_copy(update={"unit": "Ethics"})}), inputs=judged_by
    )
    case.units |= dict.fromkeys((RIN, JUN, KEI), "Ethics")
    case.agree_by(RIN)
    case.accepts(JUN, ChangeRequest())
    match how:
        case "disabled":
            case.disabled.add(RIN)
        case "lost":
            case.grants = [each for each in case.grants if each.person != RIN]
        case "moved":
            case.units[RIN] = "Sales"
        case _:
            case.grants = [
                each.model_copy(update={"by": OWNER}) if each.person == RIN else each for each in case.grants
            ]
    assert [(RIN, ["fairness", "privacy"], None)] == standing(case.review), "in this round it stays"
    case.accepts(OWNER, Revision(proposal=text_digest(2)))
    assert [] == standing(case.review)
    assert {None: ("fairness", "privacy")} == asked(case.review)


def test_what_was_said_in_this_round_counts_whatever_becomes_of_who_said_it() -> None:
    """It was theirs to say; what they have a conflict in, they declare."""
    case = a_case()
    case.accepts(RIN, sheet())
    case.disabled.add(RIN)
    case.accepts(JUN, sheet())
    assert case.review.stage is Stage.SIGN_OFF


def test_a_verdict_is_carried_while_who_gave_it_is_away() -> None:
    """They hold the role, and another acts in it."""
    case = a_case()
    case.accepts(RIN, sheet())
    case.delegates(RIN, OUTSIDER, Role.REVIEWER)
    revise(case, 2)
    assert [(RIN, ["fairness"], 1)] == standing(case.review)
