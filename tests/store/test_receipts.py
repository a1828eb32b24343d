"""Receipts: heard at once, or else looked for; over a connection that breaks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from temporalio.client import Client

from activities.ports import Delivery
from domain.decisions import Question
from runtime.embedded.postgres import SUPERUSER
from store.ledgers import RECEIPTS
from store.receipts import POLL, Receipts
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import arrived, commit, opened
from tests.support.harness import Harness, harness, until


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


@pytest.fixture
async def superuser(servers: Servers, database: DatabaseUrls) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Who can end other people's connections."""
    connection = await asyncpg.connect(servers.postgres.url(SUPERUSER, database.name))
    yield connection
    await connection.close()


LISTENERS = f"select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%{RECEIPTS}%'"


async def stored(system: Harness, person: str = "rin.reviewer") -> Delivery:
    """A decision that has no receipt yet."""
    return await system.store(await opened(system, tier=3), person, Question(), "Who asks?")


async def settle(system: Harness, delivery: Delivery) -> None:
    """Give it its receipt."""
    assert (await commit(system, delivery.review, arrived(delivery))).done


async def listening(superuser: asyncpg.Connection[asyncpg.Record]) -> list[int]:
    """Who listens."""

    async def pids() -> list[int]:
        return [row["pid"] for row in await superuser.fetch(LISTENERS)]

    return await until(pids, seconds=20)


async def test_a_receipt_is_there_as_soon_as_it_is_written(
    system: Harness, superuser: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Everybody who waits for it is woken; nobody waits for the next look."""
    await listening(superuser)
    delivery = await stored(system)
    waits = [asyncio.create_task(system.receipts.wait(delivery.decision, 20)) for _ in range(5)]
    gives_up = asyncio.create_task(system.receipts.wait(delivery.decision, 0.05))
    assert await gives_up is None
    await settle(system, delivery)
    settled = time.monotonic()
    receipts = await asyncio.gather(*waits)
    assert time.monotonic() - settled < POLL / 2
    assert {"accepted"} == {receipt.status for receipt in receipts if receipt is not None}
    assert receipts[0] == await system.receipts.wait(delivery.decision, 0)
    assert {} == system.receipts._waiting


async def test_there_is_no_receipt_of_what_was_never_decided(system: Harness) -> None:
    """Nor before it was; the wait ends when it was said to."""
    started = time.monotonic()
    assert await system.receipts.wait(uuid4(), 0.2) is None
    assert 0.2 <= time.monotonic() - started < 5
    assert await system.receipts.wait((await stored(system)).decision, 0) is None
    assert {} == system.receipts._waiting


async def test_where_nothing_is_heard_it_is_looked_for(system: Harness) -> None:
    """Behind a pooler that breaks LISTEN without a word."""
    deaf = Receipts(system.url, system.decisions)
    delivery = await stored(system)
    waiting = asyncio.create_task(deaf.wait(delivery.decision, 20))
    await settle(system, delivery)
    async with asyncio.timeout(POLL + 5):
        receipt = await waiting
    assert receipt is not None


async def test_a_connection_that_breaks_is_made_anew(
    system: Harness, superuser: asyncpg.Connection[asyncpg.Record]
) -> None:
    """What happened meanwhile is not missed; then it is heard at once again."""
    (pid,) = await listening(superuser)
    delivery = await stored(system)
    waiting = asyncio.create_task(system.receipts.wait(delivery.decision, 30))
    await superuser.execute("select pg_terminate_backend($1)", pid)
    await settle(system, delivery)
    assert await waiting is not None

    async def anew() -> bool:
        return [pid] != [row["pid"] for row in await superuser.fetch(LISTENERS)] != []

    await until(anew, seconds=20)
    again = await stored(system)
    waiting = asyncio.create_task(system.receipts.wait(again.decision, 30))
    await settle(system, again)
    settled = time.monotonic()
    assert await waiting is not None
    assert time.monotonic() - settled < POLL / 2


async def test_whatever_is_notified_wakes_nobody_else(
    system: Harness, superuser: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Nor ends the listening."""
    await listening(superuser)
    delivery = await stored(system)
    waiting = asyncio.create_task(system.receipts.wait(delivery.decision, 20))
    for payload in ("", "no uuid", str(uuid4()), "x" * 7000):
        await superuser.execute("select pg_notify($1, $2)", RECEIPTS, payload)
    await settle(system, delivery)
    assert await waiting is not None


async def test_nobody_listens_after_the_end(
    system: Harness, superuser: asyncpg.Connection[asyncpg.Record], database: DatabaseUrls
) -> None:
    """The connection is given back."""
    before = await listening(superuser)
    second = Receipts(database.app_url, system.decisions)
    async with second.listening():

        async def two() -> bool:
            return len(await superuser.fetch(LISTENERS)) == 2

        await until(two, seconds=20)

    async def one() -> bool:
        return before == [row["pid"] for row in await superuser.fetch(LISTENERS)]

    await until(one, seconds=20)
