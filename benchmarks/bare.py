"""What we compare with: a workflow that takes decisions by update, and commits each in one local activity.

No rules, no ledger, no receipts: one row a decision, in the same PostgreSQL. `python -m benchmarks.bare` is its worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from uuid import UUID

import uvloop
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from store.database import Database, connect

TASK_QUEUE = "bare"

TABLE = """
create table bare_decisions (id uuid primary key, review text not null, data text not null);
grant insert, select on bare_decisions to ringi_app;
"""

_INSERT = "insert into bare_decisions (id, review, data) values ($1, $2, $3) on conflict do nothing"


class Rows:
    """Commits one row a decision."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn
    async def commit_row(self, decision: str, review: str, data: str) -> str:
        """Commit a decision; return its id."""
        await self._database.pool.execute(_INSERT, UUID(decision), review, data)
        return decision


@workflow.defn
class BareReview:
    """Takes so many decisions, and ends."""

    def __init__(self) -> None:
        self._taken = 0

    @workflow.run
    async def run(self, decisions: int) -> int:
        """Wait until all are taken."""
        await workflow.wait_condition(lambda: self._taken == decisions and workflow.all_handlers_finished())
        return self._taken

    @workflow.update
    async def decide(self, decision: str, data: str) -> str:
        """Take a decision; it is answered when its row is committed."""
        committed = await workflow.execute_local_activity_method(
            Rows.commit_row,
            args=[decision, workflow.info().workflow_id, data],
            start_to_close_timeout=timedelta(seconds=5),
        )
        self._taken += 1
        return committed


async def main() -> None:
    """Work until told to stop; the settings are those of our own worker."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = await Client.connect(os.environ["TEMPORAL_ADDRESS"])
    async with (
        connect(os.environ["RINGI_DATABASE_URL"]) as database,
        Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[BareReview],
            activities=[Rows(database).commit_row],
            max_concurrent_local_activities=10,
        ),
    ):
        await stop.wait()
    await asyncio.sleep(0.05)  # lets the SDK's threads end before the interpreter does (temporalio/sdk-python#300)


if __name__ == "__main__":
    uvloop.run(main())
