"""Which reviews are compared with Temporal, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest
from temporalio.client import Client

from activities.ports import Limits
from domain.decisions import Question, Withdrawal
from domain.reconciliation import Look, Sighting, Word
from domain.review import state_digest
from store.reviews import ROWS_DIGEST
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import arrived, commit, opened
from tests.support.harness import Harness, harness

RUNNING = Sighting(status="running", run="run-1")


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


async def compare(system: Harness, *reviews: str) -> None:
    """One after the other; each workflow is in its first run."""
    for review in reviews:
        checked = await system.book.check(review)
        assert checked.record is not None
        state = checked.record.review
        word = Word(
            run="run-1", chain="run-1", seq=state.seq, state_digest=state_digest(state), signals=0, in_history=0
        )
        await system.book.compared(review, Look(checked.record, True, RUNNING, word, checked.rows), ())


async def ask(system: Harness, review: str) -> None:
    """An entry more."""
    question = await system.store(review, "rin.reviewer", Question(), "Who checks it?")
    assert (await commit(system, review, arrived(question))).done


async def altered(system: Harness) -> Sequence[str]:
    """Of all that are open."""
    return await system.book.altered(await system.book.open_reviews())


ALTERATIONS = (
    "update reviews set title = 'Another' where id = $1",
    "update reviews set author = 'somebody.else' where id = $1",
    "update reviews set stage = 'sign_off' where id = $1",
    "update reviews set tier = 4 where id = $1",
    "update reviews set aside = array['omi.officer'] where id = $1",
    "update reviews set closed_at = now() where id = $1",
    "update reviews set state = state || ' ' where id = $1",
    "update reviews set state = null where id = $1",
    "update reviews set seq = seq - 1 where id = $1",
    "update reviews set head = repeat('0', 64) where id = $1",
    "insert into ledger select review_id, seq + 1, data, hash from ledger where review_id = $1 order by seq desc limit 1",
    "delete from turns where review_id = $1 and position = 0",
    "insert into turns select * from turns where review_id = $1 limit 1",
    "update decisions set status = 'pending' where review_id = $1",
    "update decisions set detail = 'It is another text.' where review_id = $1",
    "update decisions set settled_at = settled_at - interval '1 second' where review_id = $1",
)
"""Everything that the check of a record compares with it, changed in a row."""


async def test_rows_that_somebody_altered(system: Harness) -> None:
    """By SQL alone it is seen, of all that are open, which are not as they were left."""
    altering = {await opened(system): statement for statement in ALTERATIONS}
    await compare(system, *altering, *[await opened(system) for _ in range(3)])
    assert await altered(system) == []
    for review, statement in altering.items():
        await system.database.pool.execute(statement, review)
    assert sorted(altering[review] for review in await altered(system)) == sorted(ALTERATIONS)


async def test_what_the_commit_writes_is_no_alteration(system: Harness) -> None:
    """Nor is what only goes with it: up to when it was looked at who can fulfil the route."""
    new, changed, left = [await opened(system) for _ in range(3)]
    waiting = (await system.store_submission()).review
    await compare(system, changed, left)
    await ask(system, changed)
    await system.database.pool.execute("update reviews set roles_seen = 99, roles_told = 99")
    assert set(await system.book.open_reviews()) == {new, changed, left, waiting}
    assert await altered(system) == []
    await system.database.pool.execute("update reviews set head = repeat('1', 64)")
    assert set(await altered(system)) == {new, changed, left, waiting}


async def test_in_another_time_zone_the_rows_are_the_same(system: Harness) -> None:
    """Each worker's sessions have one of their own."""
    await opened(system)
    digests = set()
    async with system.database.transaction() as connection:
        for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
            await connection.execute(f"set local timezone = '{zone}'")
            digests.add(await connection.fetchval(f"select {ROWS_DIGEST} from reviews r"))
    assert len(digests) == 1


async def test_open_reviews_in_turn_are_not_held_up_by_closed_ones(system: Harness) -> None:
    """Those that were compared longest ago come first, and what is done does not come again."""
    closed = [await opened(system) for _ in range(4)]
    for review in closed:
        withdrawal = await system.store(review, "hana.owner", Withdrawal(), "The customer has left.")
        assert (await commit(system, review, arrived(withdrawal))).done
    idle = [await opened(system) for _ in range(4)]
    await compare(system, *closed, *idle)
    due = await system.book.due({}, (), Limits(changed=5, in_depth=3, closed=1))
    assert due == [*idle[:3], closed[0]]
    due = await system.book.due({}, (idle[0], closed[0]), Limits(changed=5, in_depth=2, closed=1))
    assert due == [*idle[1:3], closed[1]]


async def test_what_changed_is_not_held_up_by_new_reviews(system: Harness) -> None:
    """However many there are: first what is in another run, then whatever has waited longest."""
    reset, changed, idle = [await opened(system) for _ in range(3)]
    await compare(system, changed, idle, reset)
    await ask(system, changed)
    new = [await opened(system) for _ in range(4)]
    running = {**dict.fromkeys((changed, idle, *new), "run-1"), reset: "run-2"}
    due = await system.book.due(running, (), Limits(changed=3, in_depth=4, closed=0))
    assert due == [reset, changed, new[0], idle]
    due = await system.book.due(running, due, Limits(changed=3, in_depth=4, closed=0))
    assert due == new[1:]
