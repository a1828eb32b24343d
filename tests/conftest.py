"""Real servers, once a session, and a database of its own for each test."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from temporalio.client import Client

from runtime.embedded import DataFolder, PostgresServer, TemporalServer, free_port
from runtime.embedded.postgres import APP, OWNER, SUPERUSER
from runtime.logging import configure_logging
from runtime.temporal import connect
from store.migrate import migrate

# Every process that a test starts inherits it, however far down: so we find those that are left, and only those.
RUN_MARK = f"RINGI_TEST_RUN={uuid4()}"

TEMPLATE = "ringi_template"


@dataclass(frozen=True)
class Servers:
    """The session's PostgreSQL and Temporal. A test that kills servers starts its own."""

    postgres: PostgresServer
    temporal: TemporalServer


@dataclass(frozen=True)
class DatabaseUrls:
    """A migrated, empty database; the application's role is the one that tests work as."""

    name: str
    app_url: str
    owner_url: str


class Log(io.StringIO):
    """A stream that is read as the objects that its lines are."""

    def lines(self, **fields: object) -> list[dict[str, Any]]:
        """The lines that have these fields."""
        every = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in every if fields.items() <= line.items()]


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    """What the person who runs the tests has set for Temporal or for us changes no test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("RINGI_", "TEMPORAL_")):
                patch.delenv(name)
        patch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
        patch.setenv(*RUN_MARK.split("=", 1))
        yield


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """What a test has the process log to is gone with it: the stream may be closed by then, as a command's is."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()
    logging.captureWarnings(False)


@pytest.fixture
def log() -> Log:
    """Where this process's JSON lines are sent."""
    stream = Log()
    configure_logging("json", "INFO", stream=stream)
    return stream


@pytest.fixture(scope="session")
async def servers(_clean_environment: None) -> AsyncIterator[Servers]:
    """One PostgreSQL and one Temporal, not durable, with time skipping allowed."""
    # Not pytest's own folder: its path can be too long for a socket, and three runs of it are kept.
    with TemporaryDirectory(prefix="ringi-tests-") as path, DataFolder(Path(path)) as folder:
        postgres = PostgresServer(folder, durable=False)
        temporal = TemporalServer(
            folder,
            port=free_port(),
            durable=False,
            arguments=["--dynamic-config-value", "frontend.WorkflowTimeSkippingEnabled=true"],
        )
        async with postgres, temporal:
            yield Servers(postgres, temporal)


@pytest.fixture(scope="session")
async def template(servers: Servers) -> str:
    """The name of a database that was migrated once and is only copied."""
    await _as_superuser(servers, f"create database {TEMPLATE} owner {OWNER}")
    await migrate(servers.postgres.url(OWNER, TEMPLATE))
    return TEMPLATE


@contextlib.asynccontextmanager
async def new_database(servers: Servers, template: str) -> AsyncIterator[DatabaseUrls]:
    """A database for the length of the block, migrated and empty."""
    name = f"test_{uuid4().hex}"
    await _as_superuser(servers, f"create database {name} template {template} owner {OWNER}")
    try:
        yield DatabaseUrls(name, servers.postgres.url(APP, name), servers.postgres.url(OWNER, name))
    finally:
        await _as_superuser(servers, f"drop database {name} with (force)")


@pytest.fixture
async def database(servers: Servers, template: str) -> AsyncIterator[DatabaseUrls]:
    """A database of the test's own, migrated and empty."""
    async with new_database(servers, template) as urls:
        yield urls


@pytest.fixture(scope="session")
async def temporal_client(servers: Servers) -> Client:
    """The one client, as every process of ours makes it."""
    return await connect(servers.temporal.address)


async def _as_superuser(servers: Servers, statement: str) -> None:
    connection = await asyncpg.connect(servers.postgres.url(SUPERUSER, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def left_behind() -> dict[int, str]:
    """The processes, by their ids, that this run's tests started and did not end."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            if pid != os.getpid() and RUN_MARK.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[pid] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return found


@pytest.fixture(scope="module", autouse=True)
def _no_long_pauses() -> Iterator[None]:
    """Have no garbage collection look at what the modules before have left (reports, parameters, what was imported): with
    all of it, one takes so long on a busy machine that Temporal's workers take it for a deadlock of the workflow.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End what the tests left running, and let the run fail for it. What follows its parent into death has a moment."""
    end = time.monotonic() + 5
    while left_behind() and time.monotonic() < end:
        time.sleep(0.1)
    for pid, command in left_behind().items():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        sys.stderr.write(f"\nleft running by a test: {pid} {command}\n")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """End a good run before the interpreter shuts down: there the SDK can abort the process (sdk-python#300)."""
    result = yield
    if result == 0 and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    return result
