"""What counts as a difference between the record and Temporal, and what was only on its way."""

from __future__ import annotations

import typing

import pytest

from domain.decisions import AnyContent, Discrepancy, Question, Reason, Repair
from domain.discrepancies import DIFFERENCES, LOSSES, ON_RECORD, Differs
from domain.entitlement import RECONCILER, REGISTER
from domain.reconciliation import Known, Look, Sighting, Word, confirmed, differences
from domain.review import state_digest
from domain.state import Review
from domain.verification import Verification
from tests.domain.builders import HEAD, OFFICER, OPERATOR, OWNER, REVIEWERS, Case, sheet

OPEN = Case()
OPEN.accepts(REVIEWERS[0], Question())
CLOSED = Case()
CLOSED.accepts(REVIEWERS[0], sheet())
CLOSED.sign(HEAD)

RUNNING = Sighting(status="running", run="run-2")
KNOWN = Known(run="run-2", chain="run-1", seq=OPEN.review.seq, signals=3)


def said(**changes: object) -> Word:
    """What a workflow says that is as it should be, but for these."""
    review = OPEN.review
    well = Word(run="run-2", chain="run-1", seq=review.seq, state_digest=state_digest(review), signals=3, in_history=3)
    return well.model_copy(update=changes)


def looked(
    review: Review = OPEN.review,
    sighting: Sighting = RUNNING,
    word: Word | None = None,
    *,
    fault: str | None = None,
    expected: bool = True,
) -> Look:
    """A look at a review."""
    record = Verification(review.seq, fault, "0" * 64, review)
    return Look(record=record, expected=expected, sighting=sighting, word=word)


WELL = looked(word=said())

SEQ = OPEN.review.seq

DIFFERENT: dict[Differs, list[Look]] = {
    Differs.LOST: [
        looked(sighting=Sighting(status="nothing")),
        looked(sighting=Sighting(status="ended", how="terminated", run="run-2")),
        looked(Review(id="R-1"), Sighting(status="nothing")),
    ],
    Differs.TAKEN: [looked(sighting=Sighting(status="running", run="run-3", ours=False))],
    Differs.RUNS_ON: [
        looked(CLOSED.review, word=said()),
        Look(record=None, expected=False, sighting=RUNNING, word=None),
    ],
    Differs.SILENT: [looked()],
    Differs.BEHIND: [looked(word=said(seq=SEQ - 1, chain="run-0"))],
    Differs.AHEAD: [looked(word=said(seq=SEQ + 1))],
    Differs.DIVERGED: [looked(word=said(state_digest="1" * 64))],
    Differs.SET_BACK: [
        looked(sighting=Sighting(status="running", run="run-3", reset=True), word=said()),
        looked(word=said(seq=SEQ - 1)),
        looked(word=said(signals=2, in_history=2)),
        looked(word=said(in_history=2)),
    ],
    Differs.UNACCOUNTED: [looked(word=said(in_history=4)), looked(word=said(unsettled=2))],
    Differs.RECORD: [looked(word=said(), fault="entry 1: the chain is broken")],
}


@pytest.mark.parametrize("what", DIFFERENT, ids=str)
def test_each_difference_is_found_and_told(what: Differs) -> None:
    """And nothing else; at both looks."""
    for look in DIFFERENT[what]:
        (found,) = differences(look, KNOWN)
        assert what is found.what
        assert found.detail[0].isupper() or found.detail[0].isdigit()
        assert found.detail.endswith(".")
        assert (found,) == confirmed(look, look, KNOWN)


@pytest.mark.parametrize("what", DIFFERENT, ids=str)
def test_what_one_look_shows_and_the_other_does_not_was_on_its_way(what: Differs) -> None:
    """No alarm for it."""
    for look in DIFFERENT[what]:
        well = looked(CLOSED.review, Sighting(status="ended", how="completed")) if what is Differs.RUNS_ON else WELL
        assert () == differences(well, KNOWN)
        assert () == confirmed(look, well, KNOWN)
        assert () == confirmed(well, look, KNOWN)


def test_a_workflow_that_went_on_between_the_looks_is_only_slow() -> None:
    """However far behind it still is."""
    first, second = looked(word=said(seq=1, chain="new")), looked(word=said(seq=2, chain="new"))
    assert Differs.BEHIND in {difference.what for difference in differences(second, KNOWN)}
    assert () == confirmed(first, second, KNOWN)
    busy, less = (looked(word=said(unsettled=n)) for n in (3, 2))
    assert () == confirmed(busy, less, KNOWN)


def test_what_is_no_difference() -> None:
    """A review that was only just submitted; one that is closed, whatever became of its workflow; a reset told before."""
    young = looked(Review(id="R-1"), Sighting(status="nothing"), expected=False)
    assert () == differences(young, Known())
    for sighting in (Sighting(status="nothing"), Sighting(status="ended", how="completed", run="run-2")):
        assert () == differences(looked(CLOSED.review, sighting), KNOWN)
    reset = looked(sighting=RUNNING.model_copy(update={"reset": True}), word=said())
    assert () == differences(reset, KNOWN)
    assert () == differences(Look(None, expected=False, sighting=Sighting(status="nothing"), word=None), Known())


def test_a_record_that_does_not_hold_is_no_measure_of_the_workflow() -> None:
    """That alone is told."""
    for word in (said(seq=SEQ - 1, chain="new"), said(seq=SEQ + 1), said(state_digest="1" * 64)):
        (found,) = differences(looked(word=word, fault="entry 1: the chain is broken"), KNOWN)
        assert Differs.RECORD is found.what


def test_every_difference_has_its_words() -> None:
    """And is on record, unless the record is at fault, or nobody's in particular."""
    assert set(DIFFERENCES) == set(Differs) == {*DIFFERENT, Differs.RESTORED}
    assert LOSSES < set(Differs)
    assert ON_RECORD.isdisjoint({Differs.AHEAD, Differs.RECORD, Differs.RESTORED})


@pytest.mark.parametrize("case", [OPEN, CLOSED], ids=["open", "closed"])
def test_a_word_about_the_workflow_changes_nothing(case: Case) -> None:
    """But the number of entries. Only the reconciler can say that something differs, and only an operator repairs."""
    for person, content in ((RECONCILER.person, Discrepancy(what=Differs.LOST)), (OPERATOR, Repair())):
        if case is CLOSED and isinstance(content, Repair):
            assert Reason.LATE is case.refusal(person, content)
            continue
        before = case.review
        case.accepts(person, content)
        assert before.model_copy(update={"seq": before.seq + 1}) == case.review
    for person in (OWNER, OFFICER, OPERATOR, REGISTER.person):
        assert Reason.NOT_ENTITLED is case.refusal(person, Discrepancy(what=Differs.LOST))
    for person in (OWNER, OFFICER, RECONCILER.person):
        assert case.refusal(person, Repair()) in (Reason.NOT_ENTITLED, Reason.LATE)


def test_they_are_decisions_like_others() -> None:
    """Among what can be said."""
    contents, *_ = typing.get_args(AnyContent)
    assert {Discrepancy, Repair} < set(typing.get_args(contents))
