"""A review whose row makes no sense holds up none but itself, and is taken up again once it is mended."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client

from domain.notices import Preferences
from store.database import Pool
from store.feed import Feed
from store.notices import Notices
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import opened
from tests.store.test_feed import places, sessions, taken
from tests.support.harness import OPERATOR, Harness, harness

PERSON = "rin.reviewer"


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


async def test_a_state_that_makes_no_sense(system: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is told, asked or listed goes by the other reviews; nothing of this one is lost."""
    pool = system.database.pool
    notices = Notices(system.database, Preferences(), None)
    feed = Feed(system.url, system.database, sessions(system.database), limit=100)
    start = await feed.present()
    garbled, well = await opened(system, tier=3), await opened(system, tier=3)
    state = await pool.fetchval("select state from reviews where id = $1", garbled)
    await pool.execute("update reviews set state = convert_to('{\"id\": 7}', 'UTF8') where id = $1", garbled)
    await system.registers.disable("kei.reviewer", OPERATOR, "On leave.")
    expected = {"addressed": {well}, "inbox": {well}, "feed": {well}, "looked at": {well}, "anew": {well}}
    for now_expected in (expected, {what: {garbled, well} for what in expected}):
        await notices.address(100)
        await notices.address_anew(100)
        await system.decisions.word_from_the_registry(100)
        addressed = await pool.fetch("select distinct review_id from notices where addressed_at is not null")
        changed = await pool.fetch("select id from reviews where roles_told > 0")
        looked_at = await pool.fetch("select id from reviews where roles_seen > 0")
        async with feed.listening():
            found = await taken(feed, start, 4 * len(now_expected["feed"]))
        assert now_expected == {
            "addressed": {row["review_id"] for row in addressed},
            "inbox": {item.state.id for item in await system.reviews.inbox(PERSON, 100, lambda _: True)},
            "feed": {review for review, _, _ in places(found)},
            "looked at": {row["id"] for row in looked_at},
            "anew": {row["id"] for row in changed},
        }
        logged = {getattr(r, "review_id", None) for r in caplog.records if r.message == "a review can't be read"}
        assert {garbled} == logged
        await pool.execute("update reviews set state = $2 where id = $1", garbled, state)


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_however_many_make_no_sense_the_others_have_their_turn(system: Harness, limit: int) -> None:
    """Whoever is to be told of another review is told, though as many as are looked at in one go can't be read; and once
    they are mended, of these too.
    """
    pool = system.database.pool
    notices = Notices(system.database, Preferences(), None)
    reviews = [await opened(system, tier=3) for _ in range(4)]
    await system.registers.disable("kei.reviewer", OPERATOR, "On leave.")
    rows = await pool.fetch("select id, state from reviews where id = any($1::text[])", reviews)
    garble = "update reviews set state = convert_to('{}', 'UTF8') where id <> $1"
    for well in (reviews[-1], max(reviews)):  # the last in the order of each of the two
        await pool.execute(garble, well)
        for _ in range(4):
            await notices.address(limit)
            await notices.address_anew(limit)
        addressed = await _ids(pool, "select distinct review_id from notices where addressed_at is not null")
        anew = await _ids(pool, "select id from reviews where roles_told > 0")
        assert well in addressed & anew
        await pool.executemany("update reviews set state = $2 where id = $1", [tuple(row) for row in rows])
    for _ in range(8):
        await notices.address(limit)
        await notices.address_anew(limit)
    assert set(reviews) == await _ids(pool, "select distinct review_id from notices where addressed_at is not null")
    assert set(reviews) == await _ids(pool, "select id from reviews where roles_told > 0")


async def _ids(pool: Pool, query: str) -> set[str]:
    return {row[0] for row in await pool.fetch(query)}
