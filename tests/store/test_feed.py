"""The feed: in the order in which things come to be seen, from where one was, and only what is one's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from temporalio.client import Client

from domain.decisions import Question, Recusal
from runtime.embedded.postgres import SUPERUSER
from store import feed as feeding
from store.database import Connection, Database
from store.feed import Feed, Follower, FullError, Happening, Mark, Position, Rest, Seen, TooFarError
from store.ledgers import FEED
from store.sessions import Sessions
from tests.conftest import DatabaseUrls, Servers
from tests.store.reviews import arrived, commit, opened, sheet_of
from tests.support.harness import SIGNER, Harness, harness, until

ROW = "insert into feed (review_id, seq) values ($1, $2)"
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@pytest.fixture
async def system(servers: Servers, database: DatabaseUrls, temporal_client: Client) -> AsyncIterator[Harness]:
    """The stores on a database of the test's own."""
    async with harness(database.app_url, temporal_client, servers.temporal.address) as system:
        yield system


@pytest.fixture
async def feed(system: Harness) -> AsyncIterator[Feed]:
    """Its feed, kept up with."""
    feed = Feed(system.url, system.database, sessions(system.database), limit=100)
    async with feed.listening():
        yield feed


def sessions(database: Database) -> Sessions:
    """The sessions of browsers, of which one lasts an hour without a request."""
    return Sessions(database, SIGNER, idle=timedelta(hours=1), longest=timedelta(days=1))


def follower(person: str = "ava.auditor", **changes: object) -> Follower:
    """Somebody who follows for ever."""
    return Follower(**{"person": person, "until": NEVER, **changes})  # type: ignore[arg-type]  # of its fields' types


async def taken(feed: Feed, after: Mark, number: int, person: str = "ava.auditor") -> list[Seen]:
    """So many happenings after this mark."""
    who = follower(person)
    found: list[Seen] = []
    async with asyncio.timeout(30), feed.following(who):
        async for seen in feed.follow(who, after, 60):
            if isinstance(seen, Seen):
                found.append(seen)
            if len(found) == number:
                break
    return found


def places(found: list[Seen]) -> list[tuple[str, int, bool]]:
    """Where they are in the ledgers, and whether they are entries."""
    return [(seen.happening.review, seen.happening.seq, seen.happening.entry is not None) for seen in found]


async def ask(system: Harness, review: str, person: str = "rin.reviewer") -> None:
    """Add something to a review."""
    delivery = await system.store(review, person, Question(), "Who checks it?")
    assert (await commit(system, review, arrived(delivery))).done


async def test_entries_and_turns_come_in_the_order_of_the_record(system: Harness, feed: Feed) -> None:
    """Each entry, and each turn as it was and as it is."""
    start = await feed.present()
    review = await opened(system, tier=3)
    await sheet_of(system, review, "rin.reviewer")
    entries = await system.ledger(review)
    found = await taken(feed, start, len(entries) + 2)
    assert [*entries] == [seen.happening.entry for seen in found if seen.happening.entry is not None]
    began, changed = (seen.happening for seen in found if seen.happening.entry is None)
    assert began.was is None
    assert began.now == changed.was
    assert changed.now is not None
    assert "rin.reviewer" in changed.now.not_for


async def test_what_is_committed_later_is_not_passed_over(system: Harness, feed: Feed) -> None:
    """A transaction that took its number first and is seen last: what came between waits for it."""
    review = await opened(system)
    start = await feed.present()
    slow, quick = await asyncpg.connect(system.url), await asyncpg.connect(system.url)
    try:
        late = slow.transaction()
        await late.start()
        await slow.execute(ROW, review, 1)
        await quick.execute(ROW, review, 2)
        reading = asyncio.create_task(taken(feed, start, 2))
        await asyncio.sleep(2 * feeding.POLL)
        assert not reading.done()
        await late.commit()
        assert [1, 2] == [seen.happening.seq for seen in await reading]
    finally:
        await slow.close()
        await quick.close()


async def test_nothing_is_lost_and_nothing_doubled_over_reconnects(
    system: Harness, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers that overlap and dawdle, and readers that leave and come back with the last id that they saw."""
    monkeypatch.setattr(feeding, "_KEPT", 20)
    monkeypatch.setattr(feeding, "_BATCH", 7)
    chance = random.Random(20261122)
    review = await opened(system)
    start = await feed.present()
    writers, each = 8, 25

    async def write(number: int) -> None:
        connection = await asyncpg.connect(system.url)
        try:
            for turn in range(each):
                async with connection.transaction():
                    await connection.execute(ROW, review, 1_000 * number + 2 * turn)
                    await asyncio.sleep(chance.random() * 0.02)
                    await connection.execute(ROW, review, 1_000 * number + 2 * turn + 1)
                    await connection.execute("select pg_notify($1, '')", FEED)
        finally:
            await connection.close()

    async def read() -> list[Happening]:
        found: list[Happening] = []
        mark = start
        while len(found) < 2 * writers * each:
            patience = chance.randrange(1, 30)
            for seen in await taken(feed, mark, min(patience, 2 * writers * each - len(found))):
                found.append(seen.happening)
                mark = Mark.parse(str(seen.happening.mark)) or start
        return found

    readers = [asyncio.create_task(read()) for _ in range(4)]
    await asyncio.gather(*(write(number) for number in range(writers)))
    rows = await system.database.pool.fetch(
        "select id from feed where (tx, id) > ($1::text::xid8, $2::bigint) order by tx, id",
        str(start.position.tx),
        start.position.id,
    )
    for found in await asyncio.gather(*readers):
        assert [row["id"] for row in rows] == [happening.mark.position.id for happening in found]


async def test_it_is_taken_up_by_another_process(system: Harness, feed: Feed) -> None:
    """A restart of the API loses nothing."""
    review = await opened(system, tier=3)
    start = await feed.present()
    await ask(system, review)
    (first, *_) = await taken(feed, start, 2)
    await sheet_of(system, review, "jun.reviewer")
    second = Feed(system.url, system.database, sessions(system.database), limit=1)
    async with second.listening():
        await second.check(first.happening.mark)
        rest = await taken(second, first.happening.mark, 3)
    assert places(await taken(feed, start, 4)) == [*places([first]), *places(rest)]


async def test_a_place_that_can_t_be_taken_up_is_said(
    system: Harness, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another server, from the future, or too long ago."""
    monkeypatch.setattr(feeding, "RESUMABLE", 3)
    start = await feed.present()
    await feed.check(start)
    for wrong in (
        Mark("00000000", start.position),
        Mark(start.server, Position(start.position.tx + 10_000, 0)),
    ):
        with pytest.raises(TooFarError):
            await feed.check(wrong)
    await opened(system)
    with pytest.raises(TooFarError):
        await feed.check(start)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0",
        "00000000-1",
        "00000000--1-2",
        "0000000g-1-2",
        "00000000-1-2-3",
        f"00000000-{2**63}-0",
        "00000000-\u0661-2",
    ],
)
def test_what_is_no_mark_is_none(text: str) -> None:
    """Whatever a client sends."""
    assert Mark.parse(text) is None


def test_a_mark_is_read_as_it_was_written() -> None:
    """An event's id."""
    mark = Mark("0a1b2c3d", Position(7, 2**62))
    assert mark == Mark.parse(str(mark))


@pytest.mark.parametrize("how", ["revoked", "disabled", "session", "idle", "time"])
async def test_who_may_follow_no_more_is_given_nothing_more(system: Harness, feed: Feed, how: str) -> None:
    """Their role is gone with the next thing that happens; and where they may do nothing any more, the stream ends."""
    session = None
    if how in ("session", "idle"):
        session = "a-session"
        await system.database.pool.execute(
            "insert into sessions (id, person, expires_at) values ($1, 'rin.reviewer', $2)", session, NEVER
        )
    review = await opened(system, tier=3)
    until_when = datetime.now(UTC) + timedelta(seconds=3) if how == "time" else NEVER
    who = follower("rin.reviewer", session=session, until=until_when)
    seen: list[Seen] = []

    async def follow() -> None:
        start = await feed.present()
        async with feed.following(who):
            ready.set()
            async for each in feed.follow(who, start, 0.1):
                if isinstance(each, Seen):
                    seen.append(each)
                elif how == "revoked" and each.holders == () and len(seen) > 1:
                    break

    ready = asyncio.Event()
    following = asyncio.create_task(follow())
    await ready.wait()
    await ask(system, review, "jun.reviewer")
    await until(lambda: _there(seen), seconds=10)
    assert seen[0].holders
    match how:
        case "revoked":
            (grant,) = await system.registers.grants("rin.reviewer")
            await system.registers.revoke(grant.id, "left", by="ops.operator")
            before = len(seen)
            await ask(system, review, "kei.reviewer")
            await until(lambda: _there(seen[before:]), seconds=10)
            assert {()} == {each.holders for each in seen[before:]}
        case "disabled":
            await system.registers.disable("rin.reviewer", "ops.operator", "left")
        case "session":
            await system.database.pool.execute("update sessions set ended_at = now()")
        case "idle":
            await system.database.pool.execute("update sessions set last_seen_at = now() - interval '61 minutes'")
        case _:
            pass
    async with asyncio.timeout(10):
        await following


async def _there(found: Sequence[object]) -> bool:
    return any(found)


async def test_a_happening_comes_with_the_review_as_it_stands(system: Harness, feed: Feed) -> None:
    """So that who stepped aside is not told of what came before either, if they had not got it yet."""
    review = await opened(system, tier=4)
    for person in ("rin.reviewer", "jun.reviewer"):
        await sheet_of(system, review, person)
    start = await feed.present()
    await ask(system, review, "noa.npo")
    delivery = await system.store(review, "lea.lawyer", Recusal(), "I know them.")
    assert (await commit(system, review, arrived(delivery))).done
    found = await taken(feed, start, 3, "lea.lawyer")
    assert all("lea.lawyer" in seen.state.council.recused for seen in found)


def unread(rows: str) -> str:
    """A happening that a release may write which comes after this one."""
    return f"insert into feed (review_id, seq, {rows}) values ($1, 1, '{{\"newer\": true}}')"


async def test_what_can_t_be_understood_holds_up_nothing(
    system: Harness, feed: Feed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is left out and logged, though there is nothing else in a whole batch; whoever follows hears of the rest, and
    whoever begins before it as well.
    """
    monkeypatch.setattr(feeding, "_BATCH", 2)
    review = await opened(system, tier=3)
    start = await feed.present()
    following = asyncio.create_task(taken(feed, start, 2))
    await system.database.pool.execute(ROW, review, 1)
    for column in ("was", "now", "now", "was"):
        await system.database.pool.execute(unread(column), review)
    await system.database.pool.execute(ROW, review, 2)
    assert [(review, 1, True), (review, 2, True)] == places(await following)
    assert [(review, 1, True), (review, 2, True)] == places(await taken(feed, start, 2))
    logged = {getattr(r, "review_id", None) for r in caplog.records if r.message == "a happening can't be read"}
    assert {review} == logged


async def test_a_failure_that_nobody_expected_ends_no_stream(
    system: Harness, feed: Feed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop outlives it, and goes on where it was."""
    review = await opened(system, tier=3)
    start = await feed.present()
    following = asyncio.create_task(taken(feed, start, 1))
    await until(lambda: _there([feed._end]), seconds=10)
    broken = asyncio.Event()

    def breaks(*_: object) -> None:
        broken.set()
        raise ZeroDivisionError

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(feeding, "_understood", breaks)
        await asyncio.wait_for(broken.wait(), 10)
    await system.database.pool.execute(ROW, review, 1)
    assert [(review, 1, True)] == places(await following)
    assert "the feed was not read" in caplog.messages


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_stream_ends_when_the_feed_is_read_no_more(
    system: Harness, feed: Feed, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Nobody knows any more who may follow. Whoever comes back meanwhile is given nothing either."""
    monkeypatch.setattr(feeding, "STALE", 1.5)
    who = follower()
    rests = 0

    async def follow() -> None:
        nonlocal rests
        start = await feed.present()
        async with feed.following(who):
            async for _ in feed.follow(who, start, 0):
                rests += 1

    async def advanced() -> bool:
        return rests > 0 and feed._end is not None

    following = asyncio.create_task(follow())
    await until(advanced, seconds=10)

    async def no_more(_: object) -> object:
        if how == "hangs":
            await asyncio.sleep(60)
        raise ZeroDivisionError

    monkeypatch.setattr(feeding, "_present", no_more)
    async with asyncio.timeout(10):
        await following
        async with feed.following(who):
            assert [] == [each async for each in feed.follow(who, Mark("", Position(0, 0)), 0)]


async def test_there_is_room_for_so_many(feed: Feed) -> None:
    """All together, and each of them; whoever leaves makes room."""
    small = Feed("", feed._database, sessions(feed._database), limit=3, each=2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(small.following(follower("a.person")))
        with pytest.raises(FullError):
            await stack.enter_async_context(small.following(follower("a.person")))
        await stack.enter_async_context(small.following(follower("b.person")))
        with pytest.raises(FullError):
            await stack.enter_async_context(small.following(follower("c.person")))
    async with small.following(follower("c.person")):
        pass


async def test_where_nothing_is_heard_it_is_looked_for(
    system: Harness, servers: Servers, database: DatabaseUrls
) -> None:
    """Behind a pooler that breaks LISTEN without a word."""
    deaf = Feed(system.url, system.database, sessions(system.database), limit=10)
    start = await deaf.present()
    reading = asyncio.create_task(taken(deaf, start, 1))
    await opened(system)
    assert await reading
    superuser = await asyncpg.connect(servers.postgres.url(SUPERUSER, database.name))
    try:
        assert 0 == await superuser.fetchval(
            f"select count(*) from pg_stat_activity where query ilike 'listen%{FEED}%' and datname = current_database()"
        )
    finally:
        await superuser.close()


async def test_what_a_dump_brought_along_does_not_come_again(system: Harness) -> None:
    """Another server's transactions count from another beginning: old rows could seem to be from the future."""
    review = await opened(system)
    await system.database.pool.execute("update feed set tx = ((2::numeric ^ 62)::bigint)::text::xid8")
    feed = Feed(system.url, system.database, sessions(system.database), limit=10)
    start = await feed.present()
    async with feed.listening():
        await until(lambda: system.database.pool.fetchval("select count(*) = 0 from feed where tx > '0'"), seconds=10)
        await ask(system, review)
        found = await taken(feed, start, 1)
    assert [("accepted", review)] == [
        (seen.happening.entry.type, seen.happening.review) for seen in found if seen.happening.entry is not None
    ]


async def test_where_that_fails_at_first_it_is_tried_again(
    system: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that is away when the API begins holds up no stream for good."""
    review = await opened(system)
    await system.database.pool.execute("update feed set tx = ((2::numeric ^ 62)::bigint)::text::xid8")
    feed = Feed(system.url, system.database, sessions(system.database), limit=10)
    start = await feed.present()

    async def said() -> bool:
        return "the feed was not read" in caplog.messages

    async with AsyncExitStack() as stack:
        with monkeypatch.context() as at_first:
            at_first.setattr(feeding, "_FOREIGN", "select 1 / 0")
            await stack.enter_async_context(feed.listening())
            await until(said, seconds=10)
        await until(lambda: system.database.pool.fetchval("select count(*) = 0 from feed where tx > '0'"), seconds=10)
        await ask(system, review)
        assert [review] == [seen.happening.review for seen in await taken(feed, start, 1)]


async def test_a_stream_looks_no_more_often_than_it_has_to(system: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the feed was kept up with for the first time, and if it never is."""
    reads = 0
    present = feeding._present

    async def counted(connection: Connection) -> Mark:
        nonlocal reads
        reads += 1
        return await present(connection)

    monkeypatch.setattr(feeding, "_present", counted)
    monkeypatch.setattr(feeding, "POLL", 0.5)
    feed = Feed(system.url, system.database, sessions(system.database), limit=10)
    start = await feed.present()

    async def follow() -> None:
        who = follower()
        async with feed.following(who):
            async for _ in feed.follow(who, start, 60):
                pass

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(follow(), 5 * feeding.POLL)
    assert reads <= 8


async def test_a_rest_says_how_far_it_has_come(system: Harness, feed: Feed) -> None:
    """So that whoever comes back has not to be told what was not theirs all over again."""
    who = follower("nobody.known")
    start = await feed.present()
    async with asyncio.timeout(20), feed.following(who):
        async for seen in feed.follow(who, start, 0.1):
            assert isinstance(seen, Rest)
            assert () == seen.holders
            assert seen.mark.position >= start.position
            break
