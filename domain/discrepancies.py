"""What can differ between the record of a review and what Temporal has of it."""

from __future__ import annotations

from enum import StrEnum

from domain.values import Prose, Value


class Differs(StrEnum):
    """The kinds of difference, each told in a sentence by `DIFFERENCES`."""

    LOST = "lost"
    TAKEN = "taken"
    RUNS_ON = "runs_on"
    SILENT = "silent"
    BEHIND = "behind"
    AHEAD = "ahead"
    DIVERGED = "diverged"
    SET_BACK = "set_back"
    UNACCOUNTED = "unaccounted"
    RECORD = "record"
    RESTORED = "restored"


class Difference(Value):
    """Something that differs, in which run of the workflow, and how, in a sentence for the operator."""

    what: Differs
    run: str | None = None
    detail: Prose


DIFFERENCES: dict[Differs, str] = {
    Differs.LOST: "the review is open and no workflow of it runs",
    Differs.TAKEN: "another workflow than the review's has its id",
    Differs.RUNS_ON: "a workflow runs, and there is no open review for it",
    Differs.SILENT: "the workflow runs and does not answer",
    Differs.BEHIND: "the workflow has not seen all that is on record",
    Differs.AHEAD: "the workflow has seen more than is on record",
    Differs.DIVERGED: "the workflow has made something else of the record than its fold",
    Differs.SET_BACK: "the workflow was set back to an earlier point of its history",
    Differs.UNACCOUNTED: "there are signals in the workflow's history that nothing became of",
    Differs.RECORD: "the record does not hold, or the read model is not its fold",
    Differs.RESTORED: "Temporal does not know the last round of the reconciler any more",
}
"""What each difference is, as the end of a sentence."""

ON_RECORD = frozenset(Differs) - {Differs.AHEAD, Differs.RECORD, Differs.RESTORED}
"""What is entered in the review's ledger. Where the record itself is at fault nothing is written on top of it."""

LOSSES = frozenset({Differs.LOST, Differs.TAKEN, Differs.SILENT, Differs.AHEAD, Differs.DIVERGED})
"""What the review does not recover from by itself: an operator has its workflow started anew."""
