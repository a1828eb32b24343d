"""The pool of connections, and the clock that decisions are stamped with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

_SESSION = {"idle_in_transaction_session_timeout": "10s", "transaction_timeout": "20s"}
"""A process that stands still, or a machine that is gone, in the middle of a commit gives the review's head back.

Between the preparing and the executing of a statement the server waits for more of it, and takes that for no idleness:
there only the second bound holds.
"""


async def _leave_as_it_is(_connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Spare each use of the pool the statement that resets a session: nothing here outlives its transaction (`set local`,
    `on commit drop`), and a transaction that was left open is rolled back before this is asked.
    """


AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)
"""How it shows that the database can't be reached, or not for now: what was asked may be asked again.

A connection whose end asyncpg has begun to read, but not to its last byte, fails with an `InternalClientError`.
"""

FAILING = (*AWAY, asyncpg.PostgresError)
"""The same, or it refuses what was asked: for what must go on whatever the database says."""


class InDoubtError(ConnectionError):
    """The answer to a COMMIT did not come: all of the transaction was done, or nothing."""


Clock = Callable[[], datetime]
"""Tells the present; injected where time is skipped."""


class Database:
    """A pool of connections as the application's role.

    `clock` replaces the database's own time where tests skip time; everywhere else the database's clock counts.
    """

    def __init__(self, pool: Pool, clock: Clock | None = None) -> None:
        self.pool = pool
        self._clock = clock

    @asynccontextmanager
    async def transaction(self, *, seconds: int | None = None) -> AsyncIterator[Connection]:
        """A connection in a transaction; committed when the block ends well. It may take so many seconds, where that is
        longer than the few that every other one may.

        Raises:
            InDoubtError: the block ended well, and whether it was committed is not known.
        """
        ended_well = False
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                if seconds is not None:
                    # A timer that runs keeps its time, so it is stopped first.
                    await connection.execute(
                        f"set local transaction_timeout = 0; set local transaction_timeout = '{seconds:d}s'"
                    )
                yield connection
                ended_well = True
        except AWAY as error:
            if ended_well:
                raise InDoubtError("no answer to the COMMIT") from error
            raise

    async def migrations(self) -> frozenset[str]:
        """The numbers of the migrations that were applied."""
        return frozenset(row["version"] for row in await self.pool.fetch("select version from schema_migrations"))

    async def now(self, connection: Connection) -> datetime:
        """The present moment: the database's, unless a clock was injected."""
        if self._clock is not None:
            return self._clock()
        moment: datetime = await connection.fetchval("select clock_timestamp()")
        return moment


@asynccontextmanager
async def connect(
    url: str, *, min_size: int = 1, max_size: int = 10, clock: Clock | None = None
) -> AsyncIterator[Database]:
    """A database for the length of the block.

    Args:
        url: of the application's role, which can't change the ledger.
        min_size: connections kept open.
        max_size: connections at most.
        clock: replaces the database's time; for tests that skip time.

    Raises:
        OSError: the database can't be reached.
    """
    async with asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        command_timeout=30,
        timeout=10,
        server_settings=_SESSION,
        reset=_leave_as_it_is,
    ) as pool:
        yield Database(pool, clock)
