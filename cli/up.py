"""The embedded system: PostgreSQL, Temporal, the token issuer, the API and the worker, started and stopped as one."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cli import show
from cli.exits import CliError, Exit
from cli.local import DEFAULT_DATA, NOTE, Addresses, addresses
from cli.setup import SetUpError, enter_examples, set_up
from domain.dsse import Ed25519Signer, Signer
from runtime.embedded import Child, DataFolder, EmbeddedError, PostgresServer, TemporalServer, free_port
from runtime.embedded.processes import check_port
from runtime.issuer import AUDIENCE, CLIENT_ID, issuer_app, signing_key
from runtime.issuer import KEY_FILE as ISSUER_KEY_FILE
from runtime.keys import KEY_FILE, key_in
from runtime.private_files import UnusableKeyError
from runtime.serving import serving

HOST = "127.0.0.1"

READY_SECONDS = 90
POLL_SECONDS = 0.1

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EXAMPLES_ENTERED = "examples-entered"
"""The file by which a data folder says that the example people were entered: it is done once."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Ports:
    """Where an embedded system listens, on the loopback interface."""

    api: int = 8420
    issuer: int = 8421
    temporal: int = 8433
    temporal_ui: int = 8434

    def addresses(self) -> Addresses:
        """The same, as URLs."""
        return Addresses(
            api=f"http://{HOST}:{self.api}",
            issuer=f"http://{HOST}:{self.issuer}",
            temporal=f"{HOST}:{self.temporal}",
            temporal_ui=f"http://{HOST}:{self.temporal_ui}",
        )


@dataclass(frozen=True)
class System:
    """An embedded system that runs."""

    folder: DataFolder
    addresses: Addresses
    postgres: PostgresServer
    children: tuple[Child, ...]

    async def watch(self) -> NoReturn:
        """Return never.

        Raises:
            EmbeddedError: one of its processes ended; the message has its last words.
        """
        while True:
            for child in self.children:
                child.check()
            await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def running(folder: DataFolder, ports: Ports, progress: Progress) -> AsyncIterator[System]:
    """An embedded system for the length of the block: everybody who waits for it can use it at once.

    At the end the worker is drained first, then the API is stopped, the issuer, Temporal, and PostgreSQL.

    Args:
        folder: entered; holds all that is kept.
        ports: where to listen.
        progress: told what is being done.

    Raises:
        EmbeddedError: something does not start; what was started is stopped again.
    """
    addresses = ports.addresses()
    for port, what in (
        (ports.api, "the API"),
        (ports.issuer, "the token issuer"),
        (ports.temporal, "Temporal"),
        (ports.temporal_ui, "Temporal's UI"),
    ):
        check_port(port, what)
    async with AsyncExitStack() as stack:
        progress("PostgreSQL")
        postgres = await stack.enter_async_context(PostgresServer(folder))
        progress("Temporal")
        temporal = await stack.enter_async_context(
            TemporalServer(folder, port=ports.temporal, ui_port=ports.temporal_ui)
        )
        progress("schema and policy packs")
        await _set_up(folder, postgres, _signer(folder))
        progress("token issuer, API and worker")
        await stack.enter_async_context(_issuer(folder, ports.issuer, addresses.issuer))
        addresses.write(folder.path)
        health_port = free_port()
        given = settings_given(postgres.app_url, temporal.address, ports, health_port)
        environment = _environment(folder, given)
        api = await stack.enter_async_context(_child(folder, "API", ("cli.main", "api"), environment))
        worker = await stack.enter_async_context(_child(folder, "worker", ("worker",), environment))
        await api.ready(f"{addresses.api}/readyz", seconds=READY_SECONDS)
        await worker.ready(f"http://{HOST}:{health_port}/readyz", seconds=READY_SECONDS)
        yield System(folder, addresses, postgres, (worker, api, temporal.child, postgres.child))


async def until_told(work: Coroutine[None, None, None]) -> bool:
    """Run `work`, and cancel it when we are told to stop by a signal. What it does then is not interrupted again.

    Returns:
        Whether it was cut short.
    """
    task = asyncio.ensure_future(work)
    told = asyncio.Event()

    def stop() -> None:
        if not told.is_set():
            told.set()
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not told.is_set():
            raise
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
    return told.is_set()


def up(data: Path, ports: Ports) -> None:
    """Run an embedded system until we are told to stop.

    Raises:
        CliError: it does not start, or one of its processes ended; nothing is left running.
    """
    try:
        asyncio.run(until_told(_up(data, ports)))
    except EmbeddedError as error:
        raise CliError(Exit.SERVER, str(error)) from error
    show.note("Stopped.")


async def _up(data: Path, ports: Ports) -> None:
    with DataFolder(data) as folder:
        async with running(folder, ports, lambda what: show.note(f"Starting {what} ...")) as system:
            _announce(system)
            try:
                await system.watch()
            except EmbeddedError:
                show.note("Stopping everything, because a part of it ended ...")
                raise
            except asyncio.CancelledError:
                show.note("Stopping, the worker first ...")
                raise


def _announce(system: System) -> None:
    data = system.folder.path
    # Where the commands would look by themselves, they need not be told.
    where = "" if data == DEFAULT_DATA.absolute() else f" --data {data}"
    show.line("Ringi is up.", "bold green")
    for name, what in (
        ("API", f"{system.addresses.api} (its documentation: {system.addresses.api}/docs)"),
        ("Temporal's UI", system.addresses.temporal_ui),
        ("data and logs", str(data)),
        ("a token", f"ringi token hana.owner{where}, or any of the example people (examples/people.csv)"),
        ("to try", f"ringi propose examples/tier-1-meeting-room-air.yaml --as aki.author{where}"),
    ):
        show.pair(name, what, indent=2, width=13)
    show.line("Ctrl-C stops it.", "dim")


def _forget_key_of_another(data: Path, issuer: str) -> None:
    """A key that renewed sign-ins rest on is on record for one issuer; under another name it would be refused."""
    if (data / NOTE).exists() and addresses(data).issuer != issuer:
        (data / ISSUER_KEY_FILE).unlink(missing_ok=True)


def _signer(folder: DataFolder) -> Ed25519Signer:
    try:
        return key_in(folder.path)
    except UnusableKeyError as error:
        raise EmbeddedError(f"Nothing can be signed: {error}.") from error


async def _set_up(folder: DataFolder, postgres: PostgresServer, signer: Signer) -> None:
    entered = folder.path / EXAMPLES_ENTERED
    operator = os.environ.get("RINGI_BOOTSTRAP_OPERATOR") or None
    try:
        await set_up(postgres.owner_url, postgres.app_url, signer, operator)
        if not entered.exists():
            await enter_examples(postgres.app_url, signer, operator)
            entered.touch()
    except SetUpError as error:
        raise EmbeddedError(str(error)) from error


def settings_given(database_url: str, temporal: str, ports: Ports, health_port: int) -> dict[str, str]:
    """The settings that the API and the worker are given: what any other deployment has to give them too."""
    addresses = ports.addresses()
    return {
        "RINGI_DATABASE_URL": database_url,
        "RINGI_OIDC_ISSUER": addresses.issuer,
        "RINGI_OIDC_AUDIENCE": AUDIENCE,
        "RINGI_OIDC_CLIENT_ID": CLIENT_ID,
        "RINGI_PUBLIC_URL": addresses.api,
        "RINGI_API_HOST": HOST,
        "RINGI_API_PORT": str(ports.api),
        "RINGI_WORKER_HEALTH_PORT": str(health_port),
        "TEMPORAL_ADDRESS": temporal,
    }


def _environment(folder: DataFolder, given: dict[str, str]) -> dict[str, str]:
    # Ours, without what would lead to another Temporal; in the settings that remain, the operator's word counts.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
    for name in ("RINGI_OWNER_DATABASE_URL", "RINGI_SIGNING_KEY"):
        environment.pop(name, None)
    environment.setdefault("RINGI_LOG_FORMAT", "console")
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, (environment.get(name), HOST)))
    files = {"RINGI_SIGNING_KEY_FILE": str(folder.path / KEY_FILE), "TEMPORAL_CONFIG_FILE": os.devnull}
    return environment | given | files


@asynccontextmanager
async def _child(
    folder: DataFolder, name: str, module: tuple[str, ...], environment: dict[str, str]
) -> AsyncIterator[Child]:
    # -P: a file of that name where we were started is not what is meant.
    child = Child.start(folder, name, [sys.executable, "-P", "-m", *module], env=environment)
    try:
        yield child
    finally:
        await child.stop()


@asynccontextmanager
async def _issuer(folder: DataFolder, port: int, url: str) -> AsyncIterator[None]:
    """Serve the issuer's documents from this process."""
    async with AsyncExitStack() as stack:
        _forget_key_of_another(folder.path, url)
        try:
            await stack.enter_async_context(serving(issuer_app(signing_key(folder.path), url), port))
        except UnusableKeyError as error:
            raise EmbeddedError(f"The token issuer can't be started: {error}.") from error
        except OSError as error:
            raise EmbeddedError(f"The token issuer can't listen on port {port}: {error.strerror}.") from error
        yield
