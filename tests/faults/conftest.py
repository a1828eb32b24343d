"""Servers of their own for tests that kill them, durable as in earnest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runtime.embedded import DataFolder, PostgresServer, TemporalServer, free_port
from runtime.temporal import connect
from store.migrate import migrate
from tests.support.harness import Harness, harness


@dataclass(frozen=True)
class Mortal:
    """A system whose servers may be killed: tests start them again, and leave no review open that they need."""

    folder: DataFolder
    postgres: PostgresServer
    temporal: TemporalServer
    system: Harness


@pytest.fixture(scope="module")
async def mortal() -> AsyncIterator[Mortal]:
    """PostgreSQL and Temporal, each with its data in files that outlive a crash, and the example people."""
    with TemporaryDirectory(prefix="ringi-faults-") as path, DataFolder(Path(path)) as folder:
        async with PostgresServer(folder) as postgres, TemporalServer(folder, port=free_port()) as temporal:
            await migrate(postgres.owner_url)
            client = await connect(temporal.address)
            async with harness(postgres.app_url, client, temporal.address) as system:
                yield Mortal(folder, postgres, temporal, system)
