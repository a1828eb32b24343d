"""Child processes that outlive neither us nor the next start, and the data folder that they belong to.

Linux is what this is written for: elsewhere there is no `/proc` to recognise an orphan by, and an orphan
is then found by its port or by PostgreSQL's own lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

POLL_SECONDS = 0.05
END_SECONDS = 10
LOG_BYTES = 10 * 2**20


class EmbeddedError(Exception):
    """Something of the embedded system does not start; the message is one clear sentence for who started it."""


@dataclass(frozen=True)
class RunAs:
    """How a child comes to run as somebody else: a command that runs it, or another user's ids."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None


OURSELVES = RunAs()


class DataFolder:
    """A folder that holds everything of one embedded system, for one process at a time.

    Entering takes the folder's lock and ends what an earlier process, killed before it could, left running.
    """

    def __init__(self, path: Path) -> None:
        """Args:
        path: made, private to this user, if it is not there.
        """
        self.path = path.absolute()
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            EmbeddedError: another process has it, or it cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EmbeddedError(f"The data folder {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(lock)
            raise EmbeddedError(f"The data folder {self.path} is in use by process {holder}.") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        try:
            self._end_orphans()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the folder back."""
        self._release()

    @property
    def logs(self) -> Path:
        """Where every child's output is kept."""
        return self._made("log")

    @property
    def records(self) -> Path:
        """Where it is written down which processes run."""
        return self._made("run")

    def _made(self, name: str) -> Path:
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _end_orphans(self) -> None:
        paths = list(self.records.glob("*.json"))
        end([record for path in paths if (record := Record.read(path)) is not None])
        for path in paths:
            path.unlink()


@dataclass(frozen=True)
class Record:
    """A process as we know it again: a pid alone may long be somebody else's."""

    pid: int
    started: str
    command: tuple[str, ...]
    end_with: signal.Signals

    @staticmethod
    def read(path: Path) -> Record | None:
        """What `path` says, or None if it says nothing that can be understood."""
        try:
            content = json.loads(path.read_text())
            return Record(
                pid=int(content["pid"]),
                started=str(content["started"]),
                command=tuple(str(part) for part in content["command"]),
                end_with=signal.Signals(content["end_with"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Put this at `path`, all of it or nothing."""
        unfinished = path.with_suffix(".new")
        unfinished.write_text(
            json.dumps(
                {"pid": self.pid, "started": self.started, "command": self.command, "end_with": int(self.end_with)}
            )
        )
        unfinished.replace(path)

    def runs(self) -> bool:
        """Whether the process that was recorded still runs (and is not another one with its pid)."""
        # The command line ends with the command: while it is being started, what starts it stands before it.
        return started_at(self.pid) == self.started and command_line(self.pid)[-len(self.command) :] == self.command

    def send(self, what: signal.Signals) -> None:
        """Send it a signal, if it still runs.

        Raises:
            EmbeddedError: it is another user's.
        """
        try:
            if self.runs():
                os.kill(self.pid, what)
        except ProcessLookupError:
            return  # it ended just now
        except PermissionError as error:
            raise EmbeddedError(f"Process {self.pid} is left over from an earlier start by another user.") from error


def end(records: Sequence[Record]) -> None:
    """End these processes, those that don't end as they are told by SIGKILL, and wait until none is left.

    Raises:
        EmbeddedError: one is left all the same.
    """
    for by_force in (False, True):
        for record in records:
            record.send(signal.SIGKILL if by_force else record.end_with)
        deadline = time.monotonic() + END_SECONDS
        while any(record.runs() for record in records) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if alive := [str(record.pid) for record in records if record.runs()]:
        raise EmbeddedError(f"Process {', '.join(alive)}, left over from an earlier start, cannot be ended.")


def started_at(pid: int) -> str | None:
    """When the process started, in clock ticks since boot; None if there is none, or only its exit code is left."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the program's name in parentheses and may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else fields[19]


def command_line(pid: int) -> tuple[str, ...]:
    """The command line of a process; empty if there is none."""
    try:
        return tuple(os.fsdecode(part) for part in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1])
    except OSError:
        return ()


class Child:
    """A process that we started in a session of its own, so that Ctrl-C reaches us and not it."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path, log_start: int, record: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._log_start = log_start
        self._record = record

    @staticmethod
    def start(
        folder: DataFolder,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        run_as: RunAs = OURSELVES,
        die_with: signal.Signals = signal.SIGKILL,
    ) -> Child:
        """Start a process that belongs to `folder`.

        Args:
            folder: holds its output (`log/NAME.log`) and its record (`run/NAME.json`).
            name: what it is called there and in errors; no two that run at once share one.
            command: the program, by its path, and its arguments.
            env: its whole environment; ours, if it is not given.
            run_as: who it runs as.
            die_with: what it gets when we die without having stopped it. To be started from a thread that lives as
                long as we do: the kernel takes the end of that thread for our death.

        Raises:
            EmbeddedError: it cannot be started.
        """
        log = folder.logs / f"{name}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.old"))
        argv = [*run_as.prefix, *_dying_with_us(die_with), *command]
        with log.open("ab") as output:
            start = output.tell()
            try:
                process = subprocess.Popen(
                    argv,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    user=run_as.user,
                    group=run_as.group,
                    extra_groups=None if run_as.user is None else [],
                )
            except OSError as error:
                raise EmbeddedError(f"{name} cannot be started: {argv[0]}: {error.strerror}.") from error
        path = folder.records / f"{name}.json"
        started = started_at(process.pid)
        if started is not None:
            Record(process.pid, started, tuple(command), die_with).write(path)
        return Child(name, process, log, start, path)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended (a signal is a negative number), or None while it runs."""
        return self._process.poll()

    async def wait(self) -> int:
        """Its return code, when it has ended."""
        while (code := self._process.poll()) is None:  # noqa: ASYNC110  # there is no event: the kernel tells who asks
            await asyncio.sleep(POLL_SECONDS)
        self._record.unlink(missing_ok=True)
        return code

    async def stop(self, stop_with: signal.Signals = signal.SIGTERM, *, seconds: float = 20) -> int:
        """Ask it to end, wait, and after `seconds` end it. Harmless if it has ended.

        Returns:
            Its return code: minus SIGKILL if it did not end by itself.
        """
        if self.returncode is None:
            self._process.send_signal(stop_with)
        try:
            async with asyncio.timeout(seconds):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """SIGKILL it and wait for its end. Harmless if it has ended."""
        self._process.kill()
        # A stopped process (SIGSTOP) dies of it too, so this wait is short.
        return await self.wait()

    def last_words(self) -> str:
        """Why it ended, as far as it said so since it was started: its last fatal line, or else its last one."""
        with self.log.open("rb") as output:
            output.seek(max(self._log_start, output.seek(0, os.SEEK_END) - 64 * 1024))
            lines = [line.strip() for line in output.read().decode(errors="replace").split("\n") if line.strip()]
        fatal = [match[0] for line in lines if (match := re.search(r"\b(FATAL|PANIC):.*", line))]
        return _shortened((fatal or lines or [""])[-1])

    def check(self) -> None:
        """Raises:
        EmbeddedError: it has ended, which it should not have.
        """
        if self.returncode is not None:
            raise EmbeddedError(
                f"{self.name} ended with exit code {self.returncode}: {self.last_words() or 'it said nothing'} "
                f"(its log: {self.log})."
            )

    async def ready(self, url: str, *, seconds: float) -> None:
        """Wait until `url`, which is its own, answers with 200.

        Raises:
            EmbeddedError: it has ended, or takes longer; the message has its last words.
        """
        try:
            async with asyncio.timeout(seconds), httpx2.AsyncClient(trust_env=False, timeout=5) as client:
                while True:
                    self.check()
                    with contextlib.suppress(httpx2.TransportError):  # it does not listen yet
                        if (await client.get(url)).status_code == httpx2.codes.OK:
                            return
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            said = self.last_words() or "it said nothing"
            raise EmbeddedError(
                f"{self.name} was not ready within {seconds:g} s: {said} (its log: {self.log})."
            ) from None


def python_process(
    folder: DataFolder, name: str, arguments: Sequence[str], *, env: Mapping[str, str] | None = None
) -> Child:
    """Start a Python program of ours with the interpreter that runs us.

    Args:
        folder: that it belongs to.
        name: what it and its log are called; no two that run at once share one.
        arguments: the interpreter's: `["-m", "worker"]`.
        env: set on top of our own environment.

    Raises:
        EmbeddedError: it cannot be started.
    """
    return Child.start(folder, name, [sys.executable, *arguments], env={**os.environ, **(env or {})})


def free_port() -> int:
    """A port on the loopback interface that nobody listens on now.

    The kernel gives it to nobody who leaves the choice to it, as each connection does: so nobody is likely to take it
    before it is listened on.

    Raises:
        EmbeddedError: none was found.
    """
    for port in random.SystemRandom().sample(_ports(), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise EmbeddedError("There is no free port on 127.0.0.1.")


def _ports() -> range:
    try:
        first_of_the_kernel = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first_of_the_kernel = 32768
    return range(10000, max(first_of_the_kernel, 20000))


def _shortened(line: str) -> str:
    # Go puts the cause last, behind all that failed because of it.
    return line if len(line) <= 300 else f"{line[:100]} ... {line[-195:]}"


def check_port(port: int, what: str) -> None:
    """Raises:
    EmbeddedError: somebody listens on that port of the loopback interface already.
    """
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise EmbeddedError(
            f"Port {port} on 127.0.0.1, which {what} should listen on, cannot be used: {error.strerror}."
        ) from error


def works(*prefix: str) -> bool:
    """Whether a command can be run behind this prefix."""
    return subprocess.run([*prefix, "/bin/sh", "-c", ":"], capture_output=True, check=False).returncode == 0


@functools.cache
def _setpriv() -> str | None:
    path = shutil.which("setpriv")
    return path if path is not None and works(path, "--pdeathsig", "KILL") else None


def _dying_with_us(with_signal: signal.Signals) -> list[str]:
    setpriv = _setpriv()
    return [] if setpriv is None else [setpriv, "--pdeathsig", with_signal.name.removeprefix("SIG")]
