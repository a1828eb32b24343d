"""The embedded servers: they keep what they were given, and leave neither processes nor riddles behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from runtime.embedded import Child, DataFolder, EmbeddedError, PostgresServer, TemporalServer, free_port, python_process
from runtime.embedded.postgres import _unprivileged
from runtime.embedded.processes import Record, command_line, started_at
from runtime.embedded.temporal import ATTEMPTS

PARENT = textwrap.dedent(
    """
    import asyncio, json, sys
    from pathlib import Path
    from runtime.embedded import DataFolder, PostgresServer, TemporalServer, python_process

    async def main():
        with DataFolder(Path(sys.argv[1])) as folder:
            async with PostgresServer(folder) as postgres, TemporalServer(folder, port=int(sys.argv[2])) as temporal:
                worker = python_process(folder, "worker", ["-c", "import signal; signal.pause()"])
                print(json.dumps([postgres.child.pid, temporal.child.pid, worker.pid]), flush=True)
                await asyncio.Event().wait()

    asyncio.run(main())
    """
)


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder's path, short enough for a socket."""
    with TemporaryDirectory(prefix="ringi-") as path:
        yield Path(path) / "data"


async def eventually(holds: Callable[[], bool], seconds: float = 15) -> None:
    """Wait until it holds, and fail if it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def run(url: str, statement: str) -> object:
    """What a statement answers."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@contextlib.contextmanager
def parent(
    data: Path, port: int, env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Another process that has started everything, and the ids of its children."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(data), str(port)], stdout=subprocess.PIPE, text=True, env=env
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def alive(pids: list[int]) -> bool:
    """Whether one of them runs."""
    return any(started_at(pid) is not None for pid in pids)


async def test_the_application_works_in_a_database_that_another_role_owns(data: Path) -> None:
    with DataFolder(data) as folder:
        async with PostgresServer(folder, durable=False) as postgres:
            await run(postgres.owner_url, "create table notes (text text)")
            await run(postgres.owner_url, "grant insert, select on notes to ringi_app")
            await run(postgres.app_url, "insert into notes values ('kept')")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await run(postgres.app_url, "create table mine (text text)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await run(postgres.app_url, "drop table notes")


async def test_only_this_user_can_reach_the_socket_and_the_data(data: Path) -> None:
    with DataFolder(data) as folder:
        async with PostgresServer(folder, durable=False):
            for path in (data, data / "socket", data / "socket" / ".s.PGSQL.5432", data / "postgres"):
                assert 0 == stat.S_IMODE(path.stat().st_mode) & 0o077


async def test_what_was_committed_outlives_kills_and_restarts(data: Path) -> None:
    with DataFolder(data) as folder:
        postgres = PostgresServer(folder)
        async with postgres:
            await run(postgres.owner_url, "create table notes as select 'kept' as text")
            await postgres.child.kill()
            await postgres.start()
            assert await run(postgres.owner_url, "select text from notes") == "kept"
        assert postgres.child.returncode == 0
        async with postgres:
            assert await run(postgres.owner_url, "select text from notes") == "kept"


async def test_temporal_starts_again_on_its_port_after_a_kill(data: Path) -> None:
    with DataFolder(data) as folder:
        async with TemporalServer(folder, port=free_port(), ui_port=free_port()) as temporal:
            await temporal.child.kill()
            await temporal.start()
            host, port = temporal.address.split(":")
            socket.create_connection((host, int(port))).close()


async def test_what_a_killed_parent_started_dies_with_it_and_the_next_start_goes_well(data: Path) -> None:
    port = free_port()
    with parent(data, port) as (process, children):
        assert alive(children)
        process.kill()
        await eventually(lambda: not alive(children))
    with parent(data, port) as (_, children):
        assert alive(children)


async def test_the_next_start_ends_the_orphans_where_the_kernel_was_not_asked_to(data: Path, tmp_path: Path) -> None:
    unshare = Path("/usr/bin/unshare")
    if unshare.exists():  # a path on which there is no setpriv
        (tmp_path / "unshare").symlink_to(unshare)
    port = free_port()
    with parent(data, port, {**os.environ, "PATH": str(tmp_path)}) as (process, orphans):
        process.kill()
        process.wait()
        assert all(started_at(pid) is not None for pid in orphans)
    with DataFolder(data):
        assert not alive(orphans)
    with parent(data, port) as (_, children):
        assert alive(children)


async def test_a_process_that_merely_has_the_pid_of_an_orphan_is_left_alone(data: Path) -> None:
    with DataFolder(data) as folder:
        bystander = python_process(folder, "bystander", ["-c", "import signal; signal.pause()"])
        await eventually(lambda: command_line(bystander.pid)[:1] == (sys.executable,))
        command = command_line(bystander.pid)
        started = started_at(bystander.pid)
        assert started is not None
        Record(bystander.pid, "1", command, signal.SIGKILL).write(folder.records / "another-time.json")
        Record(bystander.pid, started, ("postgres",), signal.SIGKILL).write(folder.records / "another-command.json")
        (folder.records / "garbled.json").write_text('{"pid": ')
        (folder.records / "bystander.json").unlink()
    try:
        with DataFolder(data) as folder:
            assert bystander.returncode is None
            assert not list(folder.records.glob("*.json"))
    finally:
        await bystander.kill()


async def test_a_stale_note_of_postgresql_does_not_keep_it_from_starting(data: Path) -> None:
    with DataFolder(data) as folder:
        async with PostgresServer(folder, durable=False) as postgres:
            note = data / "postgres" / "postmaster.pid"
            await postgres.child.kill()
            lines = note.read_text().split("\n")
            note.write_text("\n".join([str(os.getpid()), *lines[1:]]))
            await postgres.start()
            assert await run(postgres.app_url, "select 1") == 1


async def test_data_that_was_half_made_is_made_again(data: Path) -> None:
    (data / "postgres.new").mkdir(parents=True)
    (data / "postgres.new" / "PG_VERSION").write_text("18\n")
    with DataFolder(data) as folder:
        async with PostgresServer(folder, durable=False) as postgres:
            assert await run(postgres.app_url, "select 1") == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "PG_VERSION").unlink(), "is damaged: it has no PG_VERSION"),
        (lambda path: (path / "PG_VERSION").write_text("9.6\n"), "incompatible with server"),
        (lambda path: (path / "global" / "pg_control").unlink(), "pg_control"),
        (lambda path: (path / "global" / "pg_control").write_bytes(b"\0" * 8192), "FATAL:"),
        (lambda path: (path / "postgresql.conf").write_text("nonsense\n"), "postgresql.conf"),
    ],
    ids=["no version", "another version", "no control file", "garbled control file", "garbled settings"],
)
async def test_damaged_data_is_said_in_one_sentence(data: Path, damage: Callable[[Path], object], said: str) -> None:
    with DataFolder(data) as folder:
        async with PostgresServer(folder, durable=False):
            pass
        damage(data / "postgres")
        with pytest.raises(EmbeddedError) as caught:
            await PostgresServer(folder).start()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_damaged_temporal_file_is_said_in_one_sentence(data: Path) -> None:
    with DataFolder(data) as folder:
        (data / "temporal.db").write_bytes(os.urandom(8192))
        with pytest.raises(EmbeddedError, match=r"temporal\.db is damaged"):
            await TemporalServer(folder, port=free_port()).start()


@pytest.mark.parametrize("taken", ["port", "ui_port"])
async def test_a_port_in_use_is_said_before_anything_is_started(data: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, DataFolder(data) as folder:
        ports = {"port": free_port(), taken: listener.getsockname()[1]}
        with pytest.raises(EmbeddedError, match=f"Port {ports[taken]} on 127.0.0.1.*in use"):
            await TemporalServer(folder, **ports).start()
        assert not list(folder.records.iterdir())


@pytest.mark.parametrize("taken", [1, ATTEMPTS])
async def test_a_port_for_its_own_parts_that_another_took_first_is_chosen_again(
    data: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, DataFolder(data) as folder:
        chosen = iter([listener.getsockname()[1]] * taken)
        monkeypatch.setattr("runtime.embedded.temporal.free_port", lambda: next(chosen, None) or free_port())
        temporal = TemporalServer(folder, port=free_port())
        if taken == ATTEMPTS:
            with pytest.raises(EmbeddedError, match="address already in use"):
                await temporal.start()
        else:
            async with temporal:
                assert temporal.child.returncode is None
        assert next(chosen, None) is None


def test_of_a_long_complaint_its_cause_is_said(data: Path) -> None:
    with DataFolder(data) as folder:
        child = python_process(folder, "x", ["-c", f"print('started in vain: ' + '{'because ' * 200}' + 'of a port')"])
        asyncio.run(child.wait())
        assert re.fullmatch("started in vain: .*because of a port", child.last_words())
        assert len(child.last_words()) <= 300


def test_a_free_port_is_none_that_the_kernel_gives_to_whoever_asks_for_any() -> None:
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    assert not [port for port in (free_port() for _ in range(100)) if max(low, 20000) <= port <= high]


def test_the_second_user_of_a_folder_is_told_who_has_it(data: Path) -> None:
    with DataFolder(data), pytest.raises(EmbeddedError, match=f"in use by process {os.getpid()}"), DataFolder(data):
        pass
    with DataFolder(data):
        pass


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used"), DataFolder(tmp_path / "file" / "data"):
        pass


async def test_a_path_too_long_for_a_socket_gets_a_private_one_elsewhere(data: Path) -> None:
    path = data / ("long" * 30)
    with DataFolder(path) as folder:
        postgres = PostgresServer(folder, durable=False)
        async with postgres:
            place = Path(postgres.app_url.partition("?host=")[2])
            assert path not in place.parents
            assert 0o700 == stat.S_IMODE(place.stat().st_mode)
            await postgres.child.kill()
            await postgres.start()
            assert not place.exists()  # the next start has removed what a killed one left
            assert await run(postgres.app_url, "select 1") == 1
            place = Path(postgres.app_url.partition("?host=")[2])
        assert not place.exists()


@pytest.fixture
def _no_unshare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which root cannot make a user namespace."""
    if os.geteuid() != 0:
        pytest.skip("only root has to become somebody else")
    monkeypatch.setenv("PATH", "/nowhere")
    _unprivileged.cache_clear()
    yield
    _unprivileged.cache_clear()


@pytest.mark.usefixtures("_no_unshare")
async def test_as_root_without_namespaces_postgresql_runs_as_nobody(data: Path) -> None:
    data.parent.chmod(0o711)
    with DataFolder(data) as folder:
        async with PostgresServer(folder, durable=False) as postgres:
            assert await run(postgres.app_url, "select 1") == 1
            assert Path(f"/proc/{postgres.child.pid}").stat().st_uid != 0


@pytest.mark.usefixtures("_no_unshare")
async def test_as_root_a_folder_that_nobody_can_reach_is_said(data: Path) -> None:
    with DataFolder(data) as folder, pytest.raises(EmbeddedError, match="the user nobody cannot reach"):
        await PostgresServer(folder).start()


async def test_a_child_that_does_not_end_as_asked_is_ended(data: Path) -> None:
    with DataFolder(data) as folder:
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
        child = python_process(folder, "deaf", ["-c", deaf])
        await eventually(lambda: child.last_words() == "deaf")
        assert await child.stop(seconds=0.2) == -signal.SIGKILL
        assert await child.stop() == -signal.SIGKILL


async def test_a_child_that_ended_is_said_with_its_last_words(data: Path) -> None:
    with DataFolder(data) as folder:
        await python_process(folder, "worker", ["-c", "print('of an earlier start')"]).wait()
        child = python_process(
            folder, "worker", ["-c", "import os, sys; sys.exit(os.environ['WORDS'])"], env={"WORDS": "no luck"}
        )
        assert await child.wait() == 1
        with pytest.raises(EmbeddedError, match="worker ended with exit code 1: no luck"):
            child.check()


async def test_a_program_that_is_not_there_is_said(data: Path) -> None:
    async def start(folder: DataFolder) -> None:
        child = Child.start(folder, "nothing", [str(data / "nothing")])
        await child.wait()
        child.check()

    with DataFolder(data) as folder, pytest.raises(EmbeddedError, match=r"nothing.*No such file"):
        await start(folder)
