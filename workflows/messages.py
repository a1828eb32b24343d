"""What the workflow is started with, asked for and answers.

A module of its own, passed through the sandbox: built anew for each run, these models would cost a tenth of the worker.
"""

from __future__ import annotations

from activities.messages import Message
from domain.stages import Outcome
from domain.state import Review
from domain.values import Digest, ReviewId, Value


def workflow_id_for(review: ReviewId) -> str:
    """The id of the workflow of a review."""
    return f"review:{review}"


class Carried(Value):
    """What one run knows and the next must know: the state, the messages not taken, and how many signals and cancel
    requests there have been.
    """

    state: Review
    waiting: tuple[Message, ...]
    signals: int
    cancels: int


class StartReview(Value):
    """What a review's workflow is started with, and carries on with.

    `messages_per_run` is after how many messages it continues as a new run; without it, when Temporal suggests it.
    `carried` is what one run hands to the next; in a first run it counts for nothing, whoever started that.
    """

    review: ReviewId
    messages_per_run: int | None = None
    carried: Carried | None = None


class WhereItStands(Value):
    """What the workflow knows of its review: how many entries it has seen, and the digest of the state they fold to."""

    seq: int
    state_digest: Digest


class Result(Value):
    """How a review ended."""

    review: ReviewId
    outcome: Outcome
    because: str
    seq: int
    state_digest: Digest
