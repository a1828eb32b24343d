"""What the workflow is started with, asked for and answers.

A module of its own, passed through the sandbox: built anew for each run, these models would cost a tenth of the worker.
"""

from __future__ import annotations

from activities.messages import Message
from domain.stages import Outcome
from domain.state import Review
from domain.values import UNCOUNTABLE, Count, Digest, ReviewId, RunId, Value

BELIEVED = 2**30
"""Numbers that a run is handed are believed up to here, which leaves room to count on: whoever can start a run can make
them up, and no chain of runs comes to so many by itself.
"""


class Tally(Value):
    """How many signals a chain of runs was sent, and what became of them; those that are missing still wait."""

    signals: Count = 0
    accepted: Count = 0
    refused: Count = 0
    repeated: Count = 0

    def counting(self, what: str) -> Tally:
        """With one more; with no more where one more can't be counted."""
        return self.model_copy(update={what: min(getattr(self, what) + 1, UNCOUNTABLE - 1)})

    def believed(self) -> Tally:
        """As far as it is believed of a run before."""
        return Tally(**{name: min(number, BELIEVED) for name, number in self})


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

    def believed(self) -> Carried:
        """As far as a run can go on with it, whoever made it up: a state with no number of an entry is none."""
        state = self.state if self.state.seq in range(UNCOUNTABLE) else Review(id=self.state.id)
        numbers = {"tally": self.tally.believed(), "cancels": min(self.cancels, BELIEVED)}
        return self.model_copy(update={"state": state, **numbers})


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
