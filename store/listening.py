"""Listening for notifications: over connections that break, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg

_RECONNECT = 1.0

_log = logging.getLogger(__name__)


async def listen(url: str, channel: str, hear: Callable[[str], None], anew: Callable[[], None]) -> None:
    """Listen until cancelled.

    Args:
        url: of the database.
        channel: what is listened to.
        hear: is given what is notified.
        anew: is called whenever listening begins; what was notified before that was not heard.
    """
    while True:
        try:
            connection = await asyncpg.connect(url, timeout=10)
            try:
                ended = asyncio.Event()
                connection.add_termination_listener(lambda _, ended=ended: ended.set())
                await connection.add_listener(channel, lambda *heard: hear(str(heard[-1])))
                anew()
                await ended.wait()
            finally:
                await connection.close(timeout=1)
        except Exception as error:  # noqa: BLE001 - a lost connection shows in many ways, and who waits must be heard
            _log.warning("listening interrupted", extra={"error": type(error).__name__})
        await asyncio.sleep(_RECONNECT)
