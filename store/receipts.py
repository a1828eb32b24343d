"""Waiting for receipts: register, read, wait, and read again.

`LISTEN` wakes whoever waits at once; a poll every so often is the fallback, since a transaction pooler breaks `LISTEN`
without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from domain.decisions import Receipt
from store.decisions import Decisions
from store.ledgers import RECEIPTS

POLL = 1.0
"""Seconds between two looks when nothing was heard."""

_RECONNECT = 1.0

_log = logging.getLogger(__name__)


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
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=10)
                try:
                    ended = asyncio.Event()
                    connection.add_termination_listener(lambda _, ended=ended: ended.set())
                    await connection.add_listener(RECEIPTS, self._hear)
                    for decision in self._waiting:
                        self._wake(decision)
                    await ended.wait()
                finally:
                    await connection.close(timeout=1)
            except Exception as error:  # noqa: BLE001 - a lost connection shows in many ways, and who waits must be heard
                _log.warning("listening interrupted", extra={"error": type(error).__name__})
            await asyncio.sleep(_RECONNECT)

    def _hear(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        with contextlib.suppress(ValueError):  # whoever reaches the database can notify anything
            self._wake(UUID(str(payload)))

    def _wake(self, decision: UUID) -> None:
        for heard in self._waiting.get(decision, ()):
            heard.set()
