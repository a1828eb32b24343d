"""The proxy does what it is asked to, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from tests.support.harness import until
from tests.support.proxy import Proxy

Talk = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Shouter:
    """A server that answers each piece in capitals, and remembers what it was told."""

    def __init__(self) -> None:
        self.told = b""
        self.silent = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1024):
                self.told += data
                writer.write(b"" if self.silent else data.upper())
                await writer.drain()
        writer.close()


@pytest.fixture
async def shouter() -> Shouter:
    return Shouter()


@pytest.fixture
async def proxy(shouter: Shouter) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(shouter.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Proxy(lambda: asyncio.open_connection("127.0.0.1", port)) as proxy:
        yield proxy


@pytest.fixture
async def talk(proxy: Proxy) -> AsyncIterator[Callable[[], Awaitable[Talk]]]:
    """Connects as often as one likes; all is closed at the end."""
    talks: list[Talk] = []

    async def connect() -> Talk:
        talks.append(await asyncio.open_connection("127.0.0.1", proxy.port))
        return talks[-1]

    yield connect
    for _, writer in talks:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def said(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(1024), 5)


async def ask(talking: Talk, what: bytes) -> bytes:
    reader, writer = talking
    writer.write(what)
    return await said(reader)


async def test_fair_weather(talk: Callable[[], Awaitable[Talk]]) -> None:
    one, other = await talk(), await talk()
    assert (await ask(one, b"one"), await ask(other, b"other")) == (b"ONE", b"OTHER")
    one[1].write_eof()
    assert await said(one[0]) == b""
    assert await ask(other, b"still") == b"STILL"


async def test_cut_resets_all_and_lets_new_ones_in(proxy: Proxy, talk: Callable[[], Awaitable[Talk]]) -> None:
    before = await talk()
    assert await ask(before, b"one") == b"ONE"
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        await said(before[0])
    assert await ask(await talk(), b"two") == b"TWO"


async def test_half_closed_still_listens(proxy: Proxy, shouter: Shouter, talk: Callable[[], Awaitable[Talk]]) -> None:
    before = await talk()
    assert await ask(before, b"one ") == b"ONE "
    assert proxy.half_close() == 1
    assert proxy.half_close() == 0
    assert await said(before[0]) == b""
    before[1].write(b"two")
    await before[1].drain()

    async def arrived() -> bool:
        return shouter.told == b"one two"

    await until(arrived, seconds=5)


async def test_a_swallowed_answer_was_asked_for(
    proxy: Proxy, shouter: Shouter, talk: Callable[[], Awaitable[Talk]]
) -> None:
    one, other = await talk(), await talk()
    proxy.swallow(after=b"commit")
    assert await ask(one, b"begin ") == b"BEGIN "
    with pytest.raises(ConnectionResetError):
        await ask(one, b"commit ")
    assert shouter.told == b"begin commit "
    assert await ask(other, b"commit") == b"COMMIT"  # it was for once
    assert proxy.swallowed == 1
    lost = proxy.swallow()
    with pytest.raises(ConnectionResetError):
        await ask(other, b"anything")
    assert lost.is_set()


async def test_answers_that_are_to_be_lost_do_not_take_each_others_place(
    proxy: Proxy, talk: Callable[[], Awaitable[Talk]]
) -> None:
    losses = [proxy.swallow(after=b"commit") for _ in range(2)]
    for _ in losses:
        with pytest.raises(ConnectionResetError):
            await ask(await talk(), b"commit")
    assert all(loss.is_set() for loss in losses)
    assert await ask(await talk(), b"commit") == b"COMMIT"


async def test_an_answer_is_lost_where_the_client_said_something_once(
    proxy: Proxy, talk: Callable[[], Awaitable[Talk]]
) -> None:
    one, other = await talk(), await talk()
    lost = proxy.swallow(after=b"commit", once=b"insert")
    for talking, said_before in ((one, b"insert"), (other, b"update")):
        assert await ask(talking, said_before) == said_before.upper()
    assert await ask(other, b"commit") == b"COMMIT"
    assert not lost.is_set()
    with pytest.raises(ConnectionResetError):
        await ask(one, b"commit")
    assert lost.is_set()


@pytest.mark.parametrize("after", [b"commit", None])
async def test_an_answer_that_a_cut_forestalls_is_lost_on_another_connection(
    proxy: Proxy, shouter: Shouter, talk: Callable[[], Awaitable[Talk]], after: bytes | None
) -> None:
    before = await talk()
    assert await ask(before, b"begin ") == b"BEGIN "
    shouter.silent = True
    lost = proxy.swallow(after)
    before[1].write(b"commit")

    async def arrived() -> bool:
        return shouter.told == b"begin commit"

    await until(arrived, seconds=5)
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        await said(before[0])
    assert not lost.is_set()
    shouter.silent = False
    with pytest.raises(ConnectionResetError):
        await ask(await talk(), b"commit")
    assert lost.is_set()
    assert await ask(await talk(), b"commit") == b"COMMIT"
    assert proxy.swallowed == 1


async def test_with_nobody_connected_the_first_answer_is_lost(
    proxy: Proxy, talk: Callable[[], Awaitable[Talk]]
) -> None:
    lost = proxy.swallow()
    with pytest.raises(ConnectionResetError):
        await ask(await talk(), b"anything")
    assert lost.is_set()
    assert await ask(await talk(), b"more") == b"MORE"


async def test_slow_and_shut_until_it_calms_down(proxy: Proxy, talk: Callable[[], Awaitable[Talk]]) -> None:
    before = await talk()
    proxy.delay = 0.2
    start = asyncio.get_running_loop().time()
    assert await ask(before, b"slow") == b"SLOW"
    assert asyncio.get_running_loop().time() - start >= 0.4
    assert proxy.delayed == 2
    proxy.shut = True
    with pytest.raises(ConnectionResetError):
        await said((await talk())[0])
    assert proxy.turned_away == 1
    proxy.calm()
    assert await ask(await talk(), b"calm") == b"CALM"
