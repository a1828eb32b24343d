"""A run for every message: nothing is lost, and nothing counts twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from domain.decisions import Question
from runtime.embedded import DataFolder, TemporalServer, free_port
from runtime.temporal import connect
from tests.conftest import DatabaseUrls
from tests.faults.test_poison import goes_on, poison, said
from tests.harness import harness

WITHOUT_PAUSE = ["--dynamic-config-value", 'history.workflowIdReuseMinimalInterval="0s"']
"""By itself the server lets a second go by between two runs."""


async def test_a_run_for_every_message(database: DatabaseUrls) -> None:
    """Some good, most of them garbage, many at once."""
    with TemporaryDirectory(prefix="ringi-runs-") as path, DataFolder(Path(path)) as folder:
        async with TemporalServer(folder, port=free_port(), durable=False, arguments=WITHOUT_PAUSE) as temporal:
            client = await connect(temporal.address)
            async with (
                harness(database.app_url, client, temporal.address) as system,
                system.worker(messages_per_run=1),
            ):
                review = await system.submit()
                for number in range(4):
                    await asyncio.gather(*(poison(system, review, "junk", said([number, n])) for n in range(10)))
                    asked = await system.decide(review, "jun.reviewer", Question(), f"Question {number}?")
                    assert asked.status == "accepted"
                account = await goes_on(system, review, poisoned=40)
                assert account.runs > 40
