"""The training gate: the assigned staff must have completed what the route requires, until the last signature."""

from __future__ import annotations

from datetime import datetime

from domain.completions import check
from domain.decisions import Reason
from domain.events import Event, Passed, TrainingChecked
from domain.facts import Facts
from domain.people import Role
from domain.refusal import Refusal
from domain.route import Phase
from domain.stages import Stage
from domain.state import Review
from domain.turns import Turn
from domain.values import PersonId


def checked(review: Review, facts: Facts, at: datetime) -> TrainingChecked:
    """What the staff's training amounts to now."""
    staff = () if review.subject is None else review.subject.staff
    requirements = () if review.route is None or not review.route.training_required else review.route.requirements
    return TrainingChecked(at=at, check=check(staff, requirements, facts.completions, at, unheard(review)))


def unheard(review: Review) -> frozenset[PersonId]:
    """Those whose word on what the staff have learned does not count here."""
    return frozenset((*review.proposed_by, *review.assigned))


def is_open(review: Review) -> bool:
    """Whether somebody has, or may have, to enter completions yet: what the staff have was not found to be enough."""
    if review.route is None or not review.route.training_required or Stage.TRAINING in review.passed:
        return False
    return review.training is None or bool(review.training.gaps)


def refuse_word(review: Review) -> Refusal | None:
    """Why the register's word that a completion arrived is of no use now, if it is of none."""
    if review.phase is not Phase.TRAINING:
        return Refusal(Reason.OUT_OF_STAGE, "The review does not wait for training.")
    return None


def refuse_untrained(review: Review, facts: Facts, at: datetime) -> Refusal | None:
    """Why nothing can be signed now, if the training that was there no longer holds."""
    gaps = checked(review, facts, at).check.gaps
    if not gaps:
        return None
    names = "; ".join(gap.why for gap in gaps)
    return Refusal(Reason.TRAINING_GAP, f"The staff's training no longer holds: {names}."[:2000])


def follows(review: Review, facts: Facts, at: datetime) -> Event | None:
    """What follows by itself from what is on record of the staff."""
    if review.route is None or not review.route.training_required:
        return Passed(at=at, stage=Stage.TRAINING, result="not_required", because=review.training_because)
    if review.training is None:
        return checked(review, facts, at)
    if review.training.gaps:
        return None
    because = "Everybody assigned has completed what their role requires."
    return Passed(at=at, stage=Stage.TRAINING, result="completed", because=because)


def turns(review: Review) -> tuple[Turn, ...]:
    """Whose turn it is while there are gaps."""
    if review.phase_since is None:
        return ()
    gaps = () if review.training is None else review.training.gaps
    names = "; ".join(gap.why for gap in gaps)
    turn = Turn(
        stage=Stage.TRAINING,
        kinds=("completion",),
        what=f"Close the gaps in training: {names}."[:2000],
        role=Role.TRAINING_OFFICER,
        not_for=review.aside,
        since=review.phase_since,
        due_at=review.due_at,
    )
    return (turn,)
