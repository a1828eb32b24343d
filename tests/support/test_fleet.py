"""A process that ends by itself is started again, and it is said whether it had begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from runtime.embedded import Child, DataFolder, free_port, python_process
from tests.support.fleet import Fleet, Process
from tests.support.harness import until

GIVES_UP = "raise SystemExit('There is no server.')"
ANSWERS_AND_ENDS = (
    "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).handle_request()"
)


@asynccontextmanager
async def watched(path: Path, program: str, *, has_url: bool) -> AsyncIterator[Fleet]:
    """A fleet of one process, which runs this program."""
    nothing, port = cast("Any", None), free_port()
    with DataFolder(path) as folder:

        async def start() -> Child:
            return python_process(folder, "it", ["-c", program.format(port=port)])

        process = Process("it", start, f"http://127.0.0.1:{port}" if has_url else None)
        fleet = Fleet(folder, nothing, nothing, nothing, nothing, nothing, [process])
        watching = asyncio.create_task(fleet.watch())
        yield fleet
        watching.cancel()
        await asyncio.wait([watching])
        await process.kill()


@pytest.mark.parametrize(
    ("program", "has_url", "where"),
    [
        pytest.param(GIVES_UP, True, lambda fleet: fleet.gave_up, id="gives up where it begins"),
        pytest.param(ANSWERS_AND_ENDS, True, lambda fleet: fleet.ended, id="ends once it has begun"),
        pytest.param(GIVES_UP, False, lambda fleet: fleet.ended, id="a server"),
    ],
)
async def test_what_ends_by_itself_is_told_from_what_could_not_begin(
    tmp_path: Path, program: str, has_url: bool, where: Callable[[Fleet], dict[str, int]]
) -> None:
    async with watched(tmp_path, program, has_url=has_url) as fleet:

        async def twice() -> bool:
            return where(fleet).get("it", 0) >= 2

        await until(twice, seconds=20)
        assert fleet.ended.keys() | fleet.gave_up.keys() == where(fleet).keys()
        assert not (fleet.ended and fleet.gave_up)


async def test_what_is_killed_has_not_ended_by_itself(tmp_path: Path) -> None:
    async with watched(tmp_path, "import time; time.sleep(60)", has_url=False) as fleet:
        (process,) = fleet.processes

        async def runs() -> bool:
            return process.child is not None

        await until(runs, seconds=20)
        assert await fleet.kill([process], down=0.1) == 1
        await until(runs, seconds=20)
        assert not fleet.ended


async def test_what_is_down_already_is_not_killed(tmp_path: Path) -> None:
    program = "import time; time.sleep(60)"
    async with watched(tmp_path, program, has_url=False) as fleet, fleet.without(fleet.processes):
        assert await fleet.kill(fleet.processes, down=0) == 0
