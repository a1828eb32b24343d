"""A TCP proxy that does to connections what networks do: cuts them, slows them down, ends half of them, loses answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

_PIECE = 64 * 1024


@dataclass(frozen=True, eq=False)
class _Loss:
    """An answer that is to be lost: the one to what a client says, where it said `once`; and what tells that it was."""

    after: bytes
    once: bytes
    happened: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class _Connection:
    """One client's connection, and the one behind it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    deaf: _Loss | None = None
    """Whether it is cut as soon as the server answers, and the answer lost."""

    said: set[_Loss] = field(default_factory=set)
    """Those of which the client said what it has to say `once`."""

    ended: bool = False
    """Whether the client was told that the server says nothing more."""

    @property
    def open(self) -> bool:
        return not self.client.transport.is_closing()

    def abort(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)


class Proxy:
    """Listens on loopback and passes everything on to where `dial` connects to, as long as the weather is fair.

    Attributes:
        delay: how many seconds every piece of data takes.
        shut: whether whoever connects is turned away.
        swallowed: how many answers were lost so far.
        delayed: how many pieces of data were held up so far.
        turned_away: how many connections were, so far.
    """

    def __init__(self, dial: Dial) -> None:
        self.delay = 0.0
        self.shut = False
        self.swallowed = 0
        self.delayed = 0
        self.turned_away = 0
        self._dial = dial
        self._connections: set[_Connection] = set()
        self._losses: list[_Loss] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cut every connection and listen no more."""
        if self._server is not None:
            self._server.close()
            while self._connections:
                self.cut()
                await asyncio.sleep(0.01)
            await self._server.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens.

        Raises:
            RuntimeError: it was not entered.
        """
        if self._server is None:
            raise RuntimeError("the proxy does not listen")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> int:
        """Reset every connection, on both sides, and lose what is on its way.

        Returns:
            How many there were.
        """
        there = [connection for connection in self._connections if connection.open]
        for connection in self._connections:
            connection.abort()
        return len(there)

    def half_close(self) -> int:
        """Let every server seem to have said all that it will say; what clients say still arrives.

        Returns:
            How many connections that befell.
        """
        there = [connection for connection in self._connections if connection.open and not connection.ended]
        for connection in there:
            connection.ended = True
            connection.client.write_eof()
        return len(there)

    def swallow(self, after: bytes | None = None, *, once: bytes = b"") -> asyncio.Event:
        """Lose an answer, then cut the connection: on every connection the next answer, or, where `after` is given, on
        the first connection on which a client says it, and said `once` before, the answer to that. What was asked for is
        done all the same.

        Asked for twice, it is done twice; and where there is no connection, or it goes before, it is done on the next.

        Returns:
            What is set as soon as an answer was lost.
        """
        loss = _Loss(after or b"", once)
        there = [] if after is not None else [connection for connection in self._connections if connection.open]
        for connection in there:
            connection.deaf = connection.deaf or loss
        if not there:
            self._losses.append(loss)
        return loss.happened

    def calm(self) -> None:
        """Fair weather from now on; what was not lost yet will not be."""
        self.delay, self.shut = 0.0, False
        self._losses.clear()
        for connection in self._connections:
            connection.deaf = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shut:
            self.turned_away += 1
            _reset(writer)
            return
        try:
            behind, to_server = await self._dial()
        except OSError:
            _reset(writer)
            return
        connection = _Connection(writer, to_server)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(connection, reader, to_server))
                both.create_task(self._pass(connection, behind, writer))
        except* OSError:
            pass
        finally:
            connection.abort()
            self._connections.discard(connection)
            loss = connection.deaf
            if loss is not None and not loss.happened.is_set() and loss not in self._losses:
                self._losses.append(loss)

    async def _pass(self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        asks = sink is connection.server
        while data := await source.read(_PIECE):
            if self.delay:
                self.delayed += 1
                await asyncio.sleep(self.delay)
            if asks and connection.deaf is None:
                connection.deaf = self._loss_of_the_answer_to(connection, data)
            elif connection.deaf is not None and not asks:
                self.swallowed += 1
                connection.deaf.happened.set()
                raise ConnectionResetError("the answer is lost")
            if asks or not connection.ended:
                sink.write(data)
                await sink.drain()
        if not sink.transport.is_closing() and (asks or not connection.ended):
            sink.write_eof()

    def _loss_of_the_answer_to(self, connection: _Connection, data: bytes) -> _Loss | None:
        self._losses = [loss for loss in self._losses if not loss.happened.is_set()]
        connection.said.update(loss for loss in self._losses if loss.once in data)
        for loss in self._losses:
            if loss in connection.said and loss.after in data:
                self._losses.remove(loss)
                return loss
        return None


def _reset(writer: asyncio.StreamWriter) -> None:
    # Without lingering the other side is told of a reset; by itself it would be told of a good end.
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
