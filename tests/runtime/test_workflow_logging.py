"""What workflows log: with their ids, through the sandbox, and once, however often they are replayed."""

from __future__ import annotations

from uuid import uuid4

from temporalio.client import Client
from temporalio.worker import Replayer, Worker

from tests.conftest import Log, Servers
from tests.runtime.chatty import Chatty


async def test_a_workflow_logs_with_its_ids_and_is_silent_on_replay(servers: Servers, log: Log) -> None:
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
    lines = log.lines(logger="temporalio.workflow")
    assert ["first", "second"] == [line["event"] for line in lines]
    for line in lines:
        assert (queue, handle.first_execution_run_id, "Chatty") == (
            line["workflow_id"],
            line["run_id"],
            line["workflow_type"],
        )
    assert "council" == lines[0]["stage"]
