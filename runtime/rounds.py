"""The schedule on which the reconciler goes round: made where it is missing, and kept as the settings say."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from workflows.reconciliation import Reconciliation

_EVERY_SO_OFTEN = 15.0
"""Seconds between two looks at whether the schedule is there: Temporal may have been restored to a time before it was."""

_log = logging.getLogger(__name__)


def schedule_id(task_queue: str) -> str:
    """The schedule's id, and that of its workflows up to their time: one for each system in a namespace."""
    return f"{task_queue}-reconciliation"


class Rounds:
    """Has the reconciler of a task queue go round every so many seconds; never, if that is 0."""

    def __init__(self, client: Client, task_queue: str, seconds: int) -> None:
        self._client = client
        self._id = schedule_id(task_queue)
        self._seconds = seconds
        self._schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                Reconciliation.run,
                id=self._id,
                task_queue=task_queue,
                execution_timeout=timedelta(hours=1),
                static_summary="Compare the record with Temporal",
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=seconds or 1))]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=10)),
        )

    async def keep(self) -> None:
        """Make the schedule what it is to be, and make it again whenever it is not there; until cancelled."""
        kept = False
        while self._seconds:
            try:
                kept = await self._make() or kept or await self._correct()
            except Exception as error:  # noqa: BLE001 - a loop that must outlive whatever Temporal does
                _log.warning("the reconciler's schedule was not looked after", extra={"error": type(error).__name__})
            await asyncio.sleep(_EVERY_SO_OFTEN)

    async def _make(self) -> bool:
        try:
            await self._client.create_schedule(self._id, self._schedule, trigger_immediately=True)
        except ScheduleAlreadyRunningError:
            return False
        _log.info("made the reconciler's schedule", extra={"schedule_id": self._id})
        return True

    async def _correct(self) -> bool:
        """Give one that another version, or other settings, left behind what is wanted now; paused, it stays so."""

        def corrected(found: ScheduleUpdateInput) -> ScheduleUpdate:
            self._schedule.state = found.description.schedule.state
            return ScheduleUpdate(schedule=self._schedule)

        await self._client.get_schedule_handle(self._id).update(corrected)
        return True
