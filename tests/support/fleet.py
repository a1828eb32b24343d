"""The system as in earnest: each part a process of its own, more than one API and worker, and a proxy before each server.

Whoever it is that ends a process, `watch` starts it again.
"""

from __future__ import annotations

import asyncio
import csv
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qs, urlsplit

import httpx2

from cli.setup import EXAMPLES, enter_examples, set_up
from domain.completions import Completion
from runtime.embedded import Child, DataFolder, EmbeddedError, PostgresServer, TemporalServer, free_port, python_process
from runtime.embedded.postgres import APP, DATABASE, SOCKET_NAME
from runtime.issuer import CLIENT_ID, Issuer, issuer_app, signing_key
from runtime.temporal import connect as connect_to_temporal
from store.database import connect
from store.decisions import Decisions
from store.receipts import Receipts
from store.registers import Registers
from tests.support.harness import SIGNER, SIGNING_KEY, Harness, until
from tests.support.proxy import Proxy
from tests.support.system import serving

HOST = "127.0.0.1"


@dataclass(eq=False)
class Process:
    """One process: how it is started, and where it says that it is ready, if it does."""

    name: str
    start: Callable[[], Awaitable[Child]]
    ready_url: str | None = None
    child: Child | None = None
    begun: bool = False
    """Whether it has answered since it was started; what has no URL does as soon as it is started."""
    holds: int = 0
    """How many faults that overlap want it down."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """It is not killed while it is being started: nobody would know the one that then runs."""

    async def kill(self) -> bool:
        """SIGKILL; it is down until `watch` starts it again. Whether it ran."""
        async with self.changing:
            killed = self.child
            if killed is None or killed.returncode is not None:
                return False  # `watch` finds out that it has ended
            self.child = None
            await killed.kill()
            return True


@dataclass
class Fleet:
    """Everything that runs, and where."""

    folder: DataFolder
    postgres: PostgresServer
    temporal: TemporalServer
    before_postgres: Proxy
    before_temporal: Proxy
    issuer: Issuer
    apis: list[Process] = field(default_factory=list)
    workers: list[Process] = field(default_factory=list)
    servers: dict[str, Process] = field(default_factory=dict)
    ended: Counter[str] = field(default_factory=Counter)
    """The processes that ended without having been killed, by name: none may."""
    gave_up: Counter[str] = field(default_factory=Counter)
    """The APIs and workers that ended while they began: they may, where a server that they need is away."""

    @property
    def processes(self) -> list[Process]:
        """All of them, in the order in which they need each other."""
        return [*self.servers.values(), *self.apis, *self.workers]

    async def kill(self, processes: list[Process], *, down: float) -> int:
        """SIGKILL these at once, and keep them down for so many seconds. How many of them ran."""
        async with self.without(processes) as killed:
            await asyncio.sleep(down)
        return killed

    @asynccontextmanager
    async def without(self, processes: list[Process]) -> AsyncIterator[int]:
        """SIGKILL these at once, and keep them down for the length of the block; gives how many of them ran."""
        for process in processes:
            process.holds += 1
        try:
            yield sum(await asyncio.gather(*(process.kill() for process in processes)))
        finally:
            for process in processes:
                process.holds -= 1

    @asynccontextmanager
    async def inside(self) -> AsyncIterator[Harness]:
        """What a test has to know of it all, straight from PostgreSQL and Temporal."""
        url = self.postgres.app_url
        async with connect(url) as database:
            client = await connect_to_temporal(self.temporal.address)
            receipts = Receipts(url, Decisions(database, SIGNER))
            async with receipts.listening():
                yield Harness(database, client, self.temporal.address, url, receipts, "ringi")

    async def watch(self) -> None:
        """Start again whatever has ended and is not held down; until cancelled."""
        async with httpx2.AsyncClient(trust_env=False, timeout=2) as client, asyncio.TaskGroup() as group:
            for process in self.processes:
                group.create_task(self._keep(process, client))

    async def _keep(self, process: Process, client: httpx2.AsyncClient) -> None:
        while True:
            async with process.changing:
                if process.child is not None and process.child.returncode is not None:
                    begun = process.begun or process.ready_url is None
                    (self.ended if begun else self.gave_up)[process.name] += 1
                    process.child = None
                if process.child is None and not process.holds:
                    with suppress(EmbeddedError):  # what is left of it may need a moment to go
                        process.begun, process.child = False, await process.start()
            await _see_begin(process, client)
            await asyncio.sleep(0.05)

    async def ready(self, *, seconds: float = 90) -> None:
        """Wait until every process runs, and says that it is ready."""
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:

            async def all_are() -> bool:
                return all([await _is_ready(process, client) for process in self.processes])

            await until(all_are, seconds=seconds)


@asynccontextmanager
async def fleet(
    *, apis: int = 2, workers: int = 2, temporal_arguments: Sequence[str] = (), **settings: str
) -> AsyncIterator[Fleet]:
    """All of it for the length of the block, durable, with the example people, whose staff is trained.

    Args:
        apis: how many API processes.
        workers: how many workers.
        temporal_arguments: more for Temporal's server.
        settings: more of their settings, as in `RINGI_MESSAGES_PER_RUN`.
    """
    async with AsyncExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory(prefix="ringi-fleet-")))
        folder = stack.enter_context(DataFolder(path))
        postgres = await stack.enter_async_context(PostgresServer(folder))
        temporal = await stack.enter_async_context(
            TemporalServer(folder, port=free_port(), arguments=temporal_arguments)
        )
        await _entered(postgres)
        before_postgres = await stack.enter_async_context(Proxy(lambda: _to_postgres(postgres)))
        to_temporal = temporal.address.split(":")
        before_temporal = await stack.enter_async_context(Proxy(lambda: asyncio.open_connection(*to_temporal)))
        issuer = Issuer(signing_key(path), f"http://{HOST}:{(issuer_port := free_port())}")
        await stack.enter_async_context(serving(issuer_app(issuer.key, issuer.url), port=issuer_port))
        system = Fleet(folder, postgres, temporal, before_postgres, before_temporal, issuer)

        environment = {
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "TEMPORAL_ADDRESS": f"{HOST}:{before_temporal.port}",
            "RINGI_DATABASE_URL": f"postgresql://{APP}@{HOST}:{before_postgres.port}/{DATABASE}?sslmode=disable",
            "RINGI_SIGNING_KEY": SIGNING_KEY,
            "RINGI_OIDC_ISSUER": issuer.url,
            "RINGI_OIDC_CLIENT_ID": CLIENT_ID,
            **settings,
        }

        def ours(name: str, *arguments: str, port_as: str) -> Process:
            port = free_port()
            child = _starter(folder, name, ["-m", *arguments], {**environment, port_as: str(port)})
            return Process(name, child, f"http://{HOST}:{port}")

        system.servers = {
            "PostgreSQL": Process("PostgreSQL", _restarter(postgres), child=postgres.child),
            "Temporal": Process("Temporal", _restarter(temporal), child=temporal.child),
        }
        system.apis = [ours(f"API-{n}", "cli.main", "api", port_as="RINGI_API_PORT") for n in range(apis)]
        system.workers = [ours(f"worker-{n}", "worker", port_as="RINGI_WORKER_HEALTH_PORT") for n in range(workers)]
        stack.push_async_callback(_stopped, system)
        watching = asyncio.create_task(system.watch())
        stack.push_async_callback(_cancelled, watching)
        await system.ready()
        yield system


def _starter(
    folder: DataFolder, name: str, arguments: list[str], env: dict[str, str]
) -> Callable[[], Awaitable[Child]]:
    async def start() -> Child:
        return python_process(folder, name, arguments, env=env)

    return start


def _restarter(server: PostgresServer | TemporalServer) -> Callable[[], Awaitable[Child]]:
    async def start() -> Child:
        await server.start()
        return server.child

    return start


async def _to_postgres(postgres: PostgresServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # Its socket may lie elsewhere after each start.
    (folder,) = parse_qs(urlsplit(postgres.app_url).query)["host"]
    return await asyncio.open_unix_connection(f"{folder}/{SOCKET_NAME}")


async def _entered(postgres: PostgresServer) -> None:
    await set_up(postgres.owner_url, postgres.app_url, SIGNER, None)
    await enter_examples(postgres.app_url, SIGNER)
    with (EXAMPLES / "training.csv").open(encoding="utf-8", newline="") as file:
        done = [Completion.model_validate(row) for row in csv.DictReader(file)]
    lecture = next(completion for completion in done if "lecture" in completion.course)
    async with connect(postgres.app_url) as database:
        missing = lecture.model_copy(update={"person": "ren.operator"})
        await Registers(database, SIGNER).enter_completions([*done, missing])


async def _see_begin(process: Process, client: httpx2.AsyncClient) -> None:
    child = process.child
    if child is not None and not process.begun and process.ready_url is not None:
        with suppress(httpx2.TransportError):
            await client.get(f"{process.ready_url}/livez")
            process.begun = process.child is child


async def _is_ready(process: Process, client: httpx2.AsyncClient) -> bool:
    if process.child is None or process.child.returncode is not None:
        return False
    if process.ready_url is None:
        return True
    with suppress(httpx2.TransportError):
        return (await client.get(f"{process.ready_url}/readyz")).status_code == httpx2.codes.OK
    return False


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _stopped(system: Fleet) -> None:
    end = time.monotonic() + 20
    ours = [process.child for process in (*system.workers, *system.apis) if process.child is not None]
    await asyncio.gather(*(child.stop(seconds=max(1.0, end - time.monotonic())) for child in ours))
