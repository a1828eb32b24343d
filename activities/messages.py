"""What passes between the workflow and the commit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from domain.events import Event
from domain.values import Count, DecisionId, Digest, ReviewId, Value

AT_ONCE = 50
"""Messages that are turned away in one transaction at most: a flood is on record soon, and a run of it replayed soon."""

SHOWN = 120
"""Of so many bytes of a message the beginning is shown."""

Escaped = Annotated[str, StringConstraints(pattern=r"^[ -~]*…?$", max_length=4 * SHOWN + 1)]
"""The beginning of something, whatever it was, in printable ASCII; it ends with "…" where there is more."""


class Opening(Value):
    """Open the review with its stored submission."""

    type: Literal["opening"] = "opening"


class Arrived(Value):
    """A signal: its name and size, the digest of its bytes, an escaped beginning, and the decision it names, if it does.

    `ordinal` is its number among all signals of this chain of runs, in the order of the workflow's history: however
    often a task is run again, the same signal has the same number.
    """

    type: Literal["arrived"] = "arrived"
    ordinal: Count
    name: Escaped
    decision: DecisionId | None = None
    digest: Digest
    length: Count
    shown: Escaped


class CancelRequested(Value):
    """A client asked Temporal to cancel the workflow; `ordinal` is the number of this request among its like."""

    type: Literal["cancel_requested"] = "cancel_requested"
    ordinal: Count
    digest: Digest
    length: Count
    shown: Escaped


class Due(Value):
    """The timer of this deadline fired."""

    type: Literal["due"] = "due"
    deadline: str


Signalled = Annotated[Arrived | CancelRequested, Field(discriminator="type")]
"""What somebody sent, whoever it was."""

Message = Annotated[Opening | Arrived | CancelRequested | Due, Field(discriminator="type")]


class Commit(Value):
    """Apply this message to the review, if `seen` is still its last entry; and turn away, in the same transaction, as
    many of those that wait right behind it as bring no decision, up to the first that does.

    `state` is the digest of what the workflow holds for the fold up to `seen`, where it did not fold that itself.
    """

    review: ReviewId
    seen: Count
    message: Message
    behind: tuple[Signalled, ...] = Field(default=(), max_length=AT_ONCE)
    state: Digest | None = None


Became = Literal["accepted", "refused", "repeated"]
"""What became of a signal: it brought a decision that was accepted, or refused; or one that had its receipt already.
One that brought no decision at all is refused.
"""


class Committed(Value):
    """The entries after `seen`, as far as they fit in one answer. `done` says whether the message was dealt with, and
    `became` what became of a signal; where it was not, others were faster, and the workflow tries again when it has
    learnt what they did. `turned_away` is how many of those behind it were turned away as well. `anew` says that what
    the workflow holds is not what is on record: it begins from nothing. `size` is about how many bytes all this is.
    """

    events: tuple[Event, ...]
    done: bool
    became: Became | None = None
    turned_away: int = 0
    anew: bool = False
    size: int = 0


class Reconciled(Value):
    """What a round of the reconciler came to: how many reviews are open, how many it compared, and how many differ."""

    open: int
    compared: int
    differ: int
