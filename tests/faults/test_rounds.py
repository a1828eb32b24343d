"""The reconciler's round, and a worker that is killed in the middle of it."""

from __future__ import annotations

import asyncio
import time

import pytest
from temporalio.client import Client

from activities.reconciler import PAUSE
from domain.discrepancies import Differs
from runtime.temporal import connect
from tests.support.fleet import fleet
from tests.support.harness import until
from workflows.reconciliation import Reconciliation


async def goes_round(client: Client) -> int | None:
    """The process id of the worker that goes round at this moment, if one does."""
    query = f"WorkflowType = '{Reconciliation.__name__}' AND ExecutionStatus = 'Running'"
    async for execution in client.list_workflows(query):
        described = await client.get_workflow_handle(execution.id, run_id=execution.run_id).describe()
        for activity in described.raw_description.pending_activities:
            if activity.last_worker_identity:
                return int(activity.last_worker_identity.partition("@")[0])
    return None


@pytest.mark.timeout(240)
async def test_a_worker_that_is_killed_in_the_middle_of_a_round_delays_no_alarm_beyond_a_minute() -> None:
    """Late in the round, when what differs was seen once and is to be looked at again."""
    async with fleet(apis=0) as system, system.inside() as record:
        client = await connect(system.temporal.address)
        review = await record.submit()
        await until(lambda: _none(client))
        await record.handle(review).terminate("by hand")
        lost = time.monotonic()
        going = await until(lambda: goes_round(client), seconds=30)
        await asyncio.sleep(PAUSE - 4)
        assert going == await goes_round(client), "it is in the middle of it"
        (process,) = (p for p in system.workers if p.child is not None and p.child._process.pid == going)
        async with system.without([process]) as killed:
            assert killed == 1

            async def noticed() -> bool:
                rows = await record.book.discrepancies(10)
                return (review, Differs.LOST) in {(row.review_id, row.what) for row in rows}

            await until(noticed, seconds=lost + 60 - time.monotonic())


async def _none(client: Client) -> bool:
    return await goes_round(client) is None
