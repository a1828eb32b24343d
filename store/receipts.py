"""Waiting for receipts: register, read, wait, and read again.

`LISTEN` wakes whoever waits at once; a poll every so often is the fallback, since a transaction pooler breaks `LISTEN`
without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from domain.decisions import Receipt
from store.decisions import Decisions
from store.ledgers import RECEIPTS
from store.listening import listen

POLL = 1.0
"""Seconds between two looks when nothing was heard."""


class Receipts:
    """Tells what became of a decision as soon as it is known."""

    def __init__(self, url: str, decisions: Decisions) -> None:
        self._url = url
        self._decisions = decisions
        self._waiting: dict[UUID, set[asyncio.Event]] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen for the length of the block, over reconnects."""
        task = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def wait(self, decision: UUID, seconds: float) -> Receipt | None:
        """The receipt of a decision, or None if it has none within `seconds`."""
        heard = asyncio.Event()
        self._waiting.setdefault(decision, set()).add(heard)
        until = asyncio.get_running_loop().time() + seconds
        try:
            while True:
                heard.clear()
                receipt = await self._decisions.receipt(decision)
                left = until - asyncio.get_running_loop().time()
                if receipt is not None or left <= 0:
                    return receipt
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), min(left, POLL))
        finally:
            others = self._waiting[decision]
            others.discard(heard)
            if not others:
                del self._waiting[decision]

    async def _listen(self) -> None:
        def all_may_have_theirs() -> None:
            for decision in self._waiting:
                self._wake(decision)

        await listen(self._url, RECEIPTS, self._hear, all_may_have_theirs)

    def _hear(self, payload: str) -> None:
        with contextlib.suppress(ValueError):  # whoever reaches the database can notify anything
            self._wake(UUID(payload))

    def _wake(self, decision: UUID) -> None:
        for heard in self._waiting.get(decision, ()):
            heard.set()
