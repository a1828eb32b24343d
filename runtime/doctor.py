"""Whether the whole system is well: what it consists of, and whether what it keeps agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from runtime.rounds import schedule_id
from store.database import Database
from store.decisions import Decisions, Waiting
from store.migrate import not_applied
from store.reconciliations import Discrepancy, Reconciliations

Probe = Callable[[], Awaitable[str]]
"""Says how what it looks at is; raises `IllError` where it is not well, and anything else where it can't be looked at."""

SECONDS = 5.0
"""How long each of them may take."""

MOST = 1000
"""Discrepancies, and pending decisions, that are told at most."""

_LATE = timedelta(minutes=1)
"""How long ago the reconciler's last round may have ended."""

_POLLED = timedelta(minutes=2)
"""How long ago a worker may have asked for work: it asks for a minute at a time."""


class IllError(Exception):
    """Something is not as it should be; the message is a sentence for the operator."""


@dataclass(frozen=True)
class Finding:
    """What a probe said."""

    name: str
    status: Literal["well", "ill", "away"]
    detail: str


@dataclass(frozen=True)
class Examination:
    """What every probe said, what has been pending for more than a minute or was tampered with, and what differs."""

    findings: tuple[Finding, ...]
    pending: tuple[Waiting, ...]
    discrepancies: tuple[Discrepancy, ...]

    @property
    def well(self) -> bool:
        """Whether nothing is amiss."""
        return not (self.pending or self.discrepancies or any(found.status != "well" for found in self.findings))


class Doctor:
    """Examines the system; with `more` probes, by their names, of what its owner knows of besides."""

    def __init__(
        self,
        database: Database,
        decisions: Decisions,
        book: Reconciliations,
        client: Client,
        task_queue: str,
        more: Mapping[str, Probe],
    ) -> None:
        self._database = database
        self._decisions = decisions
        self._book = book
        self._client = client
        self._task_queue = task_queue
        self._probes: dict[str, Probe] = {
            "database": self._database_answers,
            "migrations": self._migrated,
            "temporal": self._temporal_answers,
            "workers": self._workers_poll,
            "schedule": self._schedule_runs,
            "reconciler": self._goes_round,
            **more,
        }

    async def examine(self) -> Examination:
        """Look at everything, all at once."""
        findings = await asyncio.gather(*(_look(name, probe) for name, probe in self._probes.items()))
        return Examination(
            findings=tuple(findings),
            pending=await self._decisions.pending_long(MOST),
            discrepancies=await self._book.discrepancies(MOST),
        )

    async def _database_answers(self) -> str:
        return str(await self._database.pool.fetchval("select 'PostgreSQL ' || current_setting('server_version')"))

    async def _migrated(self) -> str:
        missing = not_applied(await self._database.migrations())
        if missing:
            raise IllError(f"Not applied: {', '.join(missing)}. `ringi migrate` applies them.")
        return "All applied."

    async def _temporal_answers(self) -> str:
        await self._client.service_client.check_health()
        return f"Serves the namespace {self._client.namespace}."

    async def _workers_poll(self) -> str:
        workers = await asyncio.gather(*(self._pollers(kind) for kind in (1, 2)))
        if not all(workers):
            raise IllError(f"No worker asks for work on the task queue {self._task_queue}.")
        return f"Ask for work on the task queue {self._task_queue}: {min(workers)}."

    async def _pollers(self, kind: Literal[1, 2]) -> int:
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace, task_queue_type=TaskQueueType.ValueType(kind)
        )
        request.task_queue.name = self._task_queue
        answer = await self._client.workflow_service.describe_task_queue(request)
        asked = (poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in answer.pollers)
        return sum(datetime.now(UTC) - moment < _POLLED for moment in asked)

    async def _schedule_runs(self) -> str:
        name = schedule_id(self._task_queue)
        try:
            found = await self._client.get_schedule_handle(name).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise IllError(f"There is no schedule {name}; a worker makes it again within seconds.") from error
            raise
        if found.schedule.state.paused:
            raise IllError(f"The schedule {name} is paused: {found.schedule.state.note or 'nobody said why'}.")
        return f"{name} starts the reconciler."

    async def _goes_round(self) -> str:
        ended = await self._book.last_ended()
        if ended is None:
            raise IllError("No round has ended yet.")
        if datetime.now(UTC) - ended > _LATE:
            raise IllError(f"The last round ended at {ended:%Y-%m-%d %H:%M:%S} UTC.")
        return f"The last round ended at {ended:%Y-%m-%d %H:%M:%S} UTC."


async def _look(name: str, probe: Probe) -> Finding:
    try:
        async with asyncio.timeout(SECONDS):
            return Finding(name, "well", await probe())
    except IllError as error:
        return Finding(name, "ill", str(error))
    except Exception as error:  # noqa: BLE001 - whatever keeps us from looking, it is the answer and not ours to know
        return Finding(name, "away", f"It can't be looked at: {type(error).__name__}.")
