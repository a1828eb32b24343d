"""A transaction that nobody ends, ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from store import database as subject
from store.database import AWAY, connect
from tests.conftest import DatabaseUrls

_LOCK = "select pg_advisory_xact_lock(1)"


@pytest.mark.parametrize("stopped", ["between two statements", "between preparing and executing one"])
async def test_who_stands_still_in_a_transaction_gives_its_locks_back(
    database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch, stopped: str
) -> None:
    """The server takes neither a process that was stopped nor a machine that is gone for closed. What waits for the
    executing of a prepared statement is not even idle to it.
    """
    monkeypatch.setitem(subject._SESSION, "idle_in_transaction_session_timeout", "1s")
    monkeypatch.setitem(subject._SESSION, "transaction_timeout", "2s")
    async with connect(database.app_url) as one:
        with suppress(*AWAY):  # its connection is gone when it would go on
            async with one.transaction() as standing:
                await standing.execute(_LOCK)
                if stopped != "between two statements":
                    await standing.prepare("select $1::text")
                async with connect(database.app_url) as other, other.transaction(seconds=20) as connection:
                    async with asyncio.timeout(10):
                        await connection.execute(_LOCK)


async def test_an_import_may_take_longer(database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(subject._SESSION, "transaction_timeout", "1s")
    async with connect(database.app_url) as one:
        with pytest.raises(AWAY):
            async with one.transaction() as connection:
                await connection.execute("select pg_sleep(2)")
        async with one.transaction(seconds=20) as connection:
            await connection.execute("select pg_sleep(2)")


async def test_nothing_outlives_its_transaction(database: DatabaseUrls) -> None:
    """Sessions are not reset between two uses: what one sets, and one left open, must not reach the next."""
    async with connect(database.app_url, max_size=1) as one:
        before = await one.pool.fetchval("show transaction_timeout")
        async with one.transaction(seconds=17):
            pass
        assert before == await one.pool.fetchval("show transaction_timeout")
        async with one.pool.acquire() as connection:
            await connection.execute("begin; create temporary table left_over (x integer)")
        with pytest.raises(asyncpg.UndefinedTableError):
            await one.pool.execute("select from left_over")
