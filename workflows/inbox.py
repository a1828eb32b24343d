"""The one inbox of a review: every signal and every deadline that falls due goes in, and `run` takes them out."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Sequence
from itertools import islice, takewhile
from uuid import UUID

from temporalio import workflow
from temporalio.common import RawValue

from activities.messages import SHOWN, Arrived, CancelRequested, Message
from domain.decisions import Reason
from domain.events import Event, Refused
from domain.values import UNCOUNTABLE
from workflows.messages import TurnedAway


class Inbox:
    """A queue of messages. `put` never raises and never waits; `take` waits for the next message."""

    def __init__(self, carried: Sequence[Message] = ()) -> None:
        self._messages = deque(carried)
        self.taken = 0

    def put(self, message: Message) -> None:
        """Add a message."""
        self._messages.append(message)

    async def take(self) -> Message:
        """The next message, when there is one."""
        await workflow.wait_condition(lambda: bool(self._messages))
        self.taken += 1
        return self._messages.popleft()

    def behind(self, most: int) -> tuple[Arrived | CancelRequested, ...]:
        """The next messages that somebody sent, up to the first that nobody did; at most so many."""
        sent = takewhile(lambda message: isinstance(message, Arrived | CancelRequested), self._messages)
        return tuple(islice(sent, most))  # type: ignore[arg-type]  # it took no others

    def drop(self, count: int) -> tuple[Message, ...]:
        """The next messages, taken because they were dealt with already."""
        self.taken += count
        return tuple(self._messages.popleft() for _ in range(count))

    @property
    def waiting(self) -> tuple[Message, ...]:
        """The messages that have not been taken."""
        return tuple(self._messages)


def read_signal(ordinal: int, name: str, args: Sequence[RawValue]) -> Arrived:
    """What a signal says, whatever it says: the decision it names if that can be read, and what it looks like.

    The digest is that of the bytes that arrived, so that it can be compared with that of the stored ones. Total: never
    raises; those that can't be counted any more have one number.
    """
    data = b"".join(arg.payload.data for arg in args)
    return Arrived(
        ordinal=min(ordinal, UNCOUNTABLE - 1),
        name=_cut(name.encode("unicode_escape")),
        decision=_decision(data) if len(args) == 1 else None,
        digest=hashlib.sha256(data).hexdigest(),
        length=len(data),
        shown=_escaped(data),
    )


def read_cancel(ordinal: int, why: str) -> CancelRequested:
    """What a client's cancel request says. Total, as `read_signal`."""
    data = why.encode(errors="backslashreplace")
    return CancelRequested(
        ordinal=min(ordinal, UNCOUNTABLE - 1),
        digest=hashlib.sha256(data).hexdigest(),
        length=len(data),
        shown=_escaped(data),
    )


def turned_away(events: Sequence[Event]) -> tuple[TurnedAway, ...]:
    """Which messages these entries say were turned away: by commits whose answers were lost."""
    return tuple(
        TurnedAway(cancel=event.reason is Reason.CANCEL_REFUSED, ordinal=event.ordinal, digest=event.digest)
        for event in events
        if isinstance(event, Refused) and event.ordinal is not None and event.digest is not None
    )


def as_turned_away(message: Message) -> TurnedAway | None:
    """How this message is known if it was turned away; None for one that can't be."""
    if not isinstance(message, Arrived | CancelRequested):
        return None
    cancel = isinstance(message, CancelRequested)
    return TurnedAway(cancel=cancel, ordinal=message.ordinal, digest=message.digest)


def _decision(data: bytes) -> UUID | None:
    try:
        said = json.loads(data)
        return UUID(said["decision_id"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _escaped(data: bytes) -> str:
    # As latin-1 every byte is a character, so that what is no ASCII is escaped, byte by byte, and nothing is ambiguous.
    text = data[:SHOWN].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text if len(data) <= SHOWN else f"{text}…"


def _cut(ascii_text: bytes) -> str:
    text = ascii_text.decode("ascii")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
