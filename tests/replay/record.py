"""Records the histories that the replay gate keeps, anew: `python -m tests.replay.record [SCENARIO ...]`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
from rich.console import Console
from rich.table import Table
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory

from runtime.embedded import DataFolder, PostgresServer, TemporalServer, free_port
from runtime.embedded.postgres import APP, DATABASE, OWNER, SUPERUSER
from runtime.temporal import plugin
from store import database
from store.migrate import migrate
from tests.replay.check import HISTORIES, commands, export
from tests.replay.recorder import Recorder, without_stack_traces
from tests.replay.scenarios import SCENARIOS, Case, World, populated

IDENTITY = "recorder"
"""What the client and the workers call themselves, in place of a process id and the name of a machine."""

_AT_ONCE = 4


async def main(names: list[str]) -> None:
    """Record these scenarios, or all of them."""
    unknown = set(names) - SCENARIOS.keys()
    if unknown:
        raise SystemExit(f"There is no scenario named {', '.join(sorted(unknown))}.")
    with _folder() as folder:
        temporal = TemporalServer(folder, port=free_port(), durable=False)
        async with PostgresServer(folder, durable=False) as postgres, temporal:
            await migrate(postgres.owner_url)
            client = await Client.connect(temporal.address, plugins=[plugin()], identity=IDENTITY)
            runs = await _all(postgres, client, names or list(SCENARIOS))
    table = Table("history", "events", "commands", "bytes")
    for name, events, issued, size in runs:
        table.add_row(name, str(events), str(issued), f"{size:,}")
    Console().print(table)
    await asyncio.sleep(0.05)  # lets the SDK's threads end before the interpreter does (temporalio/sdk-python#300)


async def _all(postgres: PostgresServer, client: Client, names: list[str]) -> list[tuple[str, int, int, int]]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> list[tuple[str, int, int, int]]:
        async with room, _world(postgres, client, name) as world:
            return await _record(world, name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(name), name=name) for name in names]
    return [run for task in tasks for run in task.result()]


async def _record(world: World, name: str) -> list[tuple[str, int, int, int]]:
    """Play one scenario, and keep a history and a list of commands for each run of its workflow."""
    recorder = Recorder()
    case = Case(world, name, recorder, IDENTITY)
    try:
        async with asyncio.timeout(60):
            await SCENARIOS[name](case)
            await case.settled()
    except Exception as error:
        error.add_note(f"in the scenario {name}")
        raise
    finally:
        await case.stop_work()
    for old in HISTORIES.glob(f"{name}.*.json"):
        old.unlink()
    HISTORIES.mkdir(exist_ok=True)
    kept = []
    for number, history in enumerate(await _histories(world.client, case.workflow_id), start=1):
        run = f"{name}.{number}"
        issued = recorder.commands(history.run_id)
        export(run).write_text(_exported(history), encoding="utf-8")
        lines = ",\n".join(json.dumps(command, sort_keys=True) for command in issued)
        commands(run).write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        size = export(run).stat().st_size + commands(run).stat().st_size
        kept.append((run, len(history.events), len(issued), size))
    return kept


async def _histories(client: Client, workflow_id: str) -> list[WorkflowHistory]:
    """The histories of all runs of a workflow, the first one first."""
    latest = await client.get_workflow_handle(workflow_id).describe()
    started = await client.get_workflow_handle(workflow_id, run_id=latest.run_id).fetch_history()
    run_id = started.events[0].workflow_execution_started_event_attributes.first_execution_run_id
    histories: list[WorkflowHistory] = []
    while run_id:
        handle = client.get_workflow_handle(workflow_id, run_id=run_id)
        history = await handle.fetch_history()
        histories.append(history)
        continued = (await handle.describe()).status is WorkflowExecutionStatus.CONTINUED_AS_NEW
        last = history.events[-1].workflow_execution_continued_as_new_event_attributes
        run_id = last.new_execution_run_id if continued else ""
    return histories


def _exported(history: WorkflowHistory) -> str:
    """Temporal's own JSON export of a history, one event a line, without the stack traces."""
    events = [without_stack_traces(event) for event in history.to_json_dict()["events"]]
    return '{"events": [\n' + ",\n".join(json.dumps(event, sort_keys=True) for event in events) + "\n]}\n"


@asynccontextmanager
async def _world(postgres: PostgresServer, client: Client, name: str) -> AsyncIterator[World]:
    """A world of a scenario's own: no dispatcher finds another's decisions in it."""
    superuser = await asyncpg.connect(postgres.url(SUPERUSER, "postgres"))
    try:
        await superuser.execute(f"create database {name} template {DATABASE} owner {OWNER}")
    finally:
        await superuser.close()
    url = postgres.url(APP, name)
    async with database.connect(url) as pool:
        world = await populated(pool, url, client)
        async with world.receipts.listening():
            yield world


@contextmanager
def _folder() -> Iterator[DataFolder]:
    with TemporaryDirectory(prefix="ringi-histories-") as path, DataFolder(Path(path)) as folder:
        yield folder


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
