"""Deadlines as timers: each rings into the inbox, once."""

from __future__ import annotations

import asyncio

from temporalio import workflow

from activities.messages import Due
from domain.state import Deadline
from workflows.inbox import Inbox


class Alarm:
    """Rings for the next deadline.

    A timer is set only where none is running that rings sooner: one that rings for a deadline which no longer stands
    is let go by, and the next deadline is followed then. So a review that moves on quickly usually starts one timer in
    all, and cancels none.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._running: dict[str, Deadline] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}

    def follow(self, deadline: Deadline | None) -> None:
        """Make sure that something rings by this deadline."""
        if deadline is None or any(running.at <= deadline.at for running in self._running.values()):
            return
        self._running[deadline.id] = deadline
        self._timers[deadline.id] = asyncio.create_task(self._ring(deadline))

    async def _ring(self, deadline: Deadline) -> None:
        left = (deadline.at - workflow.now()).total_seconds()
        if left > 0:
            await workflow.sleep(left, summary=f"until {deadline.id} falls due")
        del self._running[deadline.id], self._timers[deadline.id]
        self._inbox.put(Due(deadline=deadline.id))
