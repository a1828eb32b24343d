"""A storm says what came of it, whatever came of it: tried where there is nothing that could break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from runtime.issuer import Issuer, signing_key
from tests.chaos.plan import APIS, draw
from tests.chaos.storm import Storm
from tests.support.fleet import Fleet, Process
from tests.support.proxy import Proxy
from tests.support.system import serving

SEED = 20250401


class NoFleet(Fleet):
    """Nothing that could break, and nothing that could be looked into: an API that answers as it is told, and no more."""

    async def ready(self, *, seconds: float = 90) -> None:
        """Whatever there is, is."""

    def inside(self) -> NoReturn:
        """There is nothing."""
        raise ConnectionRefusedError("no database")


@asynccontextmanager
async def no_fleet(path: Path, answer: Callable[[], Awaitable[Response]]) -> AsyncIterator[NoFleet]:
    """A fleet of an API that gives this answer to everybody."""

    async def answers(_: Request) -> Response:
        return await answer()

    async def nowhere() -> NoReturn:
        raise ConnectionRefusedError

    app = Starlette(routes=[Route("/{path:path}", answers, methods=["GET", "POST"])])
    issuer = Issuer(signing_key(path), "http://issuer.example")
    nothing = cast("Any", None)
    async with serving(app) as url:
        apis = [Process(f"API-{number}", nowhere, url) for number in range(APIS)]
        yield NoFleet(nothing, nothing, nothing, Proxy(nowhere), Proxy(nowhere), issuer, apis)


async def refuses() -> Response:
    return PlainTextResponse("This is no server of yours.", status_code=500)


async def says_nothing() -> Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("answer", [refuses, says_nothing], ids=lambda answer: str(answer.__name__))
async def test_a_storm_ends_and_is_reported_although_nobody_gets_anywhere(
    tmp_path: Path, answer: Callable[[], Awaitable[Response]]
) -> None:
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
