"""What the workflow is started with, asked for and answers.

A module of its own, passed through the sandbox: built anew for each run, these models would cost a tenth of the worker.
"""

from __future__ import annotations

from activities.messages import Message
from domain.stages import Outcome
from domain.state import Review
from domain.values import Count, Digest, ReviewId, RunId, Value


class Tally(Value):
    """How many signals a chain of runs was sent, and what became of them; those that are missing still wait."""

    signals: Count = 0
    accepted: Count = 0
    refused: Count = 0
    repeated: Count = 0


class TurnedAway(Value):
    """A signal, or cancel request, that stands on record as refused, by its number and its digest."""

    cancel: bool
    ordinal: Count
    digest: Digest


class Carried(Value):
    """What one run knows and the next must know: the state, the messages not taken and those of them that were turned
    away already, the tally of signals, and how many cancel requests there have been.
    """

    state: Review
    waiting: tuple[Message, ...] = ()
    turned_away: tuple[TurnedAway, ...] = ()
    tally: Tally = Tally()
    cancels: Count = 0


class StartReview(Value):
    """What a review's workflow is started with, and carries on with.

    `messages_per_run` is after how many messages it continues as a new run; without it, when Temporal suggests it.
    `carried` is what one run hands to the next. Whoever can start a workflow can also make that up: so a run begins by
    having it compared with the record, and with nothing where it differs.
    """

    review: ReviewId
    messages_per_run: int | None = None
    carried: Carried | None = None


class WhereItStands(Value):
    """What the workflow knows of its review: how many entries it has seen, the digest of the state they fold to, and
    what became of the signals that it was sent.

    It is in the run `run` of the chain that began with `chain`; `earlier` of the signals came before this run.
    """

    seq: Count
    state_digest: Digest
    tally: Tally = Tally()
    run: RunId
    chain: RunId
    earlier: Count = 0


class Result(Value):
    """How a review ended."""

    review: ReviewId
    outcome: Outcome
    because: str
    seq: Count
    state_digest: Digest
