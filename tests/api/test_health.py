"""The two questions that whoever runs us asks."""

from __future__ import annotations

import asyncio

import httpx2

from runtime.health import Check, health_app


async def _ask(path: str, checks: dict[str, Check], seconds: float = 2.0) -> httpx2.Response:
    transport = httpx2.ASGITransport(health_app(checks, seconds=seconds))
    async with httpx2.AsyncClient(transport=transport, base_url="http://health.test") as client:
        return await client.get(path)


async def _well() -> None:
    pass


async def _ill() -> None:
    raise ConnectionError("password=hunter2")


async def _hangs() -> None:
    await asyncio.Event().wait()


async def _timed_out_itself() -> None:
    raise TimeoutError


async def test_live_asks_nobody() -> None:
    """A process whose database is gone is alive: to restart it would not help."""
    answer = await _ask("/livez", {"database": _ill})
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


async def test_ready_when_all_is_well() -> None:
    """Every check has said so."""
    answer = await _ask("/readyz", {"database": _well, "temporal": _well})
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": {"database": "ok", "temporal": "ok"}}


async def test_not_ready_names_the_check_and_no_more() -> None:
    """Which check failed, not how: the answer needs no token."""
    checks: dict[str, Check] = {"database": _ill, "temporal": _well, "issuer": _hangs, "other": _timed_out_itself}
    answer = await _ask("/readyz", checks, seconds=0.05)
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not_ready",
        "checks": {"database": "failed", "temporal": "ok", "issuer": "timeout", "other": "failed"},
    }
    assert "hunter2" not in answer.text


async def test_checks_run_beside_each_other() -> None:
    """Together they take as long as the slowest, not as long as all: here each waits for the other."""
    meeting = asyncio.Barrier(2)
    answer = await _ask("/readyz", {"one": meeting.wait, "other": meeting.wait})
    assert answer.status_code == 200
