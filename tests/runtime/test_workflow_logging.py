"""What workflows log: with their ids, through the sandbox, and once, however often they are replayed."""

from __future__ import annotations

import io
import json
from uuid import uuid4

import pytest
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from runtime.logging import configure_logging
from tests.conftest import Servers
from tests.runtime.chatty import Chatty


@pytest.fixture
def log() -> io.StringIO:
    """Where JSON lines are sent."""
    stream = io.StringIO()
    configure_logging("json", "INFO", stream=stream)
    return stream


async def test_a_workflow_logs_with_its_ids_and_is_silent_on_replay(servers: Servers, log: io.StringIO) -> None:
    client = await Client.connect(servers.temporal.address)
    queue = f"logging-{uuid4()}"
    # Without a cache the second task replays the first.
    async with Worker(client, task_queue=queue, workflows=[Chatty], max_cached_workflows=0):
        handle = await client.start_workflow(Chatty.run, id=queue, task_queue=queue)
        while "first" not in log.getvalue():
            await handle.describe()
        await handle.signal(Chatty.tell)
        await handle.result()
        history = await handle.fetch_history()
    await Replayer(workflows=[Chatty]).replay_workflow(history)
    written = [json.loads(line) for line in log.getvalue().splitlines()]
    lines = [line for line in written if line["logger"] == "temporalio.workflow"]
    assert ["first", "second"] == [line["event"] for line in lines]
    for line in lines:
        assert (queue, handle.first_execution_run_id, "Chatty") == (
            line["workflow_id"],
            line["run_id"],
            line["workflow_type"],
        )
    assert "council" == lines[0]["stage"]
