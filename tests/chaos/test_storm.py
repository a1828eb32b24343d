"""A storm says what came of it, whatever came of it: tried where there is nothing that could break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, cast
from uuid import UUID

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from domain.decisions import Receipt
from runtime.issuer import Issuer, signing_key
from tests.chaos.plan import APIS, COMMIT_SWALLOWED, KINDS, POSTGRES_SHUT, Fault, Plan, draw
from tests.chaos.storm import Storm
from tests.support.fleet import Fleet, Process
from tests.support.proxy import Proxy
from tests.support.system import serving

SEED = 20250401

Answer = Callable[[Request], Awaitable[Response]]


class NoFleet(Fleet):
    """Nothing that could break, and nothing that could be looked into: an API that answers as it is told, and no more."""

    async def ready(self, *, seconds: float = 90) -> None:
        """Whatever there is, is."""

    def inside(self) -> NoReturn:
        """There is nothing."""
        raise ConnectionRefusedError("no database")


@asynccontextmanager
async def no_fleet(path: Path, answer: Answer) -> AsyncIterator[NoFleet]:
    """A fleet of an API that gives this answer to everybody."""

    async def nowhere() -> NoReturn:
        raise ConnectionRefusedError

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    issuer = Issuer(signing_key(path), "http://issuer.example")
    nothing = cast("Any", None)
    async with serving(app) as url:
        apis = [Process(f"API-{number}", nowhere, url) for number in range(APIS)]
        workers = [Process("worker-0", nowhere)]
        servers = {name: Process(name, nowhere) for name in ("PostgreSQL", "Temporal")}
        yield NoFleet(nothing, nothing, nothing, Proxy(nowhere), Proxy(nowhere), issuer, apis, workers, servers)


async def refuses(_: Request) -> Response:
    return PlainTextResponse("This is no server of yours.", status_code=500)


async def says_nothing(_: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("answer", [refuses, says_nothing], ids=lambda answer: str(answer.__name__))
async def test_a_storm_ends_and_is_reported_although_nobody_gets_anywhere(tmp_path: Path, answer: Answer) -> None:
    """Where everybody gives up, or waits for ever, the receipts never come on which faults wait."""
    plan = draw(SEED, decisions=40, faults=3)
    async with no_fleet(tmp_path, answer) as fleet:
        report = await Storm(plan, fleet, longest=3).run()
    assert not report.holds
    assert report.seconds <= 3.5
    assert report.faults == 0
    assert sum(report.never.values()) == len(plan.faults)
    if answer is says_nothing:
        assert {f"{case.review}: stuck" for case in plan.cases} <= set(report.problems)
    assert any("ConnectionRefusedError" in problem for problem in report.problems)


async def test_a_fault_that_finds_nothing_to_break_does_not_count(tmp_path: Path) -> None:
    """No process runs and nobody is connected: whatever comes is idle."""
    (case, *_) = draw(SEED, decisions=40, faults=0).cases
    faults = tuple(Fault(kind, after=0, which=0, seconds=0.01) for kind in KINDS)
    async with no_fleet(tmp_path, says_nothing) as fleet:
        report = await Storm(Plan(SEED, (case,), faults), fleet, longest=2).run()
    assert (report.faults, report.kinds, report.never) == (0, {}, {})
    assert report.idle == dict.fromkeys(KINDS, 1)


async def echoes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    """A proxy before a server that answers what it is told."""
    server = await asyncio.start_server(echoes, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Proxy(lambda: asyncio.open_connection("127.0.0.1", port)) as proxy:
        yield proxy


async def commits(proxy: Proxy) -> None:
    """Again and again, until an answer is lost."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with suppress(ConnectionResetError):
        while True:
            writer.write(b"COMMIT")
            await reader.readexactly(6)
    writer.close()


async def test_each_commit_whose_answer_is_to_be_lost_is_waited_for(tmp_path: Path) -> None:
    """However close together they come: none takes another's place. What did not happen, when it calms down, was idle."""
    (case, *_) = draw(SEED, decisions=40, faults=0).cases
    faults = (Fault(COMMIT_SWALLOWED, after=0, which=0, seconds=0),) * 3
    async with no_fleet(tmp_path, says_nothing) as fleet, echoing() as fleet.before_postgres:
        storm = asyncio.create_task(Storm(Plan(SEED, (case,), faults), fleet, longest=8).run())
        for _ in range(2):
            await asyncio.wait_for(commits(fleet.before_postgres), 8)
        report = await storm
    assert (report.kinds, report.idle) == ({COMMIT_SWALLOWED: 2}, {COMMIT_SWALLOWED: 1})
    assert report.unrecovered == {COMMIT_SWALLOWED: 2}
    assert report.recovery_p50 > 1, "as long as it was waited for"
    assert not report.recovery


async def accepts(request: Request) -> Response:
    said = await request.json()
    receipt = Receipt(
        decision_id=UUID(said["decision_id"]), review=said["review"], status="accepted", seq=1, at=datetime.now(UTC)
    )
    return JSONResponse(receipt.model_dump(mode="json"))


async def test_what_is_accepted_while_a_fault_lasts_is_no_recovery_from_it(tmp_path: Path) -> None:
    """The one decision comes to its receipt at once, and the fault goes on for half a second."""
    (case, *_) = draw(SEED, decisions=40, faults=0).cases
    fault = Fault(POSTGRES_SHUT, after=0, which=0, seconds=0.5)
    plan = Plan(SEED, (replace(case, steps=case.steps[:1], rests=1),), (fault,))
    async with no_fleet(tmp_path, accepts) as fleet, echoing() as fleet.before_postgres:
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.before_postgres.port)
        writer.write(b"?")
        assert await reader.readexactly(1) == b"?"
        report = await Storm(plan, fleet, longest=3).run()
        writer.close()
    assert (report.decisions, report.kinds) == (1, {POSTGRES_SHUT: 1})
    assert report.unrecovered == {POSTGRES_SHUT: 1}
