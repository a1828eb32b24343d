"""What happens in reviews, as it comes to be seen: for whoever follows it, from where they were, without gaps or doubles.

Identities are given out in another order than commits come to be seen. So the order is that of the transactions, and it
is read up to the oldest one that is still under way: nothing can come to be seen before what was read.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from domain.events import Event
from domain.ledger import Entry
from domain.people import Holder
from domain.state import Review
from domain.turns import Turn
from domain.values import PersonId, ReviewId
from store.database import Connection, Database
from store.ledgers import FEED
from store.listening import listen
from store.sessions import Sessions
from store.states import readable
from store.turns import holder

POLL = 1.0
"""Seconds between two looks when nothing was heard."""

STALE = 10.0
"""Seconds after which what was read last says no more who may follow."""

RESUMABLE = 10_000
"""How far back a stream can be taken up again: past so many happenings it is cheaper to read everything anew."""

_BATCH = 500
_KEPT = 2_000

_NOW = """
select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon, s.system_identifier, c.timeline_id
from pg_control_system() s, pg_control_checkpoint() c
"""

_SINCE = """
select f.tx::text::bigint as tx, f.id, f.review_id, f.seq, f.was, f.now, l.data
from feed f left join ledger l on f.was is null and f.now is null and (l.review_id, l.seq) = (f.review_id, f.seq)
where (f.tx, f.id) > ($1::text::xid8, $2::bigint) and f.tx < $3::text::xid8 order by f.tx, f.id limit $4
"""

_DISTANCE = """
select count(*) from (
    select from feed where (tx, id) > ($1::text::xid8, $2::bigint) and tx < $3::text::xid8 limit $4
) as missed
"""

_STATES = "select id, state from reviews where id = any($1::text[]) and state is not null"

_ACTING = """
select w.who, a.id, a.holder, a.holder_unit, a.role, a.office, a.granted_by, a.unit, a.lent_by
from unnest($1::text[]) as w (who)
left join people p on p.id = w.who left join acting($2) a on a.person = w.who
where p.disabled_at is null
"""

# Transactions of another server are counted from another beginning: what a dump brought along is before everything here.
_FOREIGN = "update feed set tx = '0' where tx >= pg_snapshot_xmax(pg_current_snapshot())"

_log = logging.getLogger(__name__)


class Position(NamedTuple):
    """A place in the feed; what is before it has been seen."""

    tx: int
    id: int


@dataclass(frozen=True)
class Mark:
    """A position, and of which server's count of transactions: a restored database begins another one."""

    server: str
    position: Position

    def __str__(self) -> str:
        """As an event's id."""
        return f"{self.server}-{self.position.tx}-{self.position.id}"

    @classmethod
    def parse(cls, text: str) -> Mark | None:
        """The mark that this is the text of, if it is one."""
        match = re.fullmatch(r"([0-9a-f]{8})-(\d{1,19})-(\d{1,19})", text, re.ASCII)
        if match is None:
            return None
        tx, number = int(match[2]), int(match[3])
        return None if max(tx, number) >= 2**63 else cls(match[1], Position(tx, number))


@dataclass(frozen=True)
class Happening:
    """Something that happened in a review: an entry of its ledger, or a turn that is another one than it was."""

    mark: Mark
    review: ReviewId
    seq: int
    entry: Event | None
    was: Turn | None
    now: Turn | None


@dataclass(eq=False)
class Follower:
    """Who follows the feed, until when; `session` is the browser's that they do it in, if they do."""

    person: PersonId
    until: datetime
    session: str | None = None


@dataclass(frozen=True)
class Seen:
    """Something that happened, with the review as it stands and what the follower acts under by now: roles of their own,
    and roles that were left to them.
    """

    happening: Happening
    state: Review
    holders: tuple[Holder, ...]


@dataclass(frozen=True)
class Rest:
    """Everything up to `mark` was given to the follower, who acts under these by now."""

    mark: Mark
    holders: tuple[Holder, ...]


class TooFarError(Exception):
    """The feed can't be taken up from there: too much happened since, or it is another database's."""


class FullError(Exception):
    """As many follow the feed as may."""


@dataclass(frozen=True)
class _Stretch:
    """A piece of the feed; `states` are those of its reviews as of the moment that it was read."""

    end: Mark
    happenings: Sequence[Happening]
    states: Mapping[ReviewId, Review]
    more: bool


class Feed:
    """The feed. What happens last is read once for all who follow.

    Args:
        url: of the database.
        database: a pool of it.
        sessions: knows which sessions of browsers hold.
        limit: how many may follow at once.
        each: how often one person may.
    """

    def __init__(self, url: str, database: Database, sessions: Sessions, limit: int, each: int = 5) -> None:
        self._url = url
        self._database = database
        self._sessions = sessions
        self._limit = limit
        self._each = each
        self._followers: list[Follower] = []
        # One read at a time: so what was read last is newest, of the feed and of who may see it.
        self._reading = asyncio.Lock()
        self._holders: dict[PersonId, tuple[Holder, ...]] = {}
        self._holding: frozenset[str] = frozenset()
        self._states: dict[ReviewId, Review] = {}
        self._tail: deque[Happening] = deque()
        self._start: Position | None = None
        self._end: Mark | None = None
        self._kept_up = time.monotonic()
        self._moved = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Keep up with what happens for the length of the block."""
        heard = asyncio.Event()
        tasks = (
            asyncio.create_task(listen(self._url, FEED, lambda _: heard.set(), heard.set)),
            asyncio.create_task(self._keep_up(heard)),
        )
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def following(self, follower: Follower) -> AsyncIterator[None]:
        """Have room for a follower for the length of the block.

        Raises:
            FullError: there is none.
        """
        same = sum(other.person == follower.person for other in self._followers)
        if len(self._followers) >= self._limit or same >= self._each:
            raise FullError
        self._followers.append(follower)
        try:
            yield
        finally:
            self._followers.remove(follower)

    async def present(self) -> Mark:
        """Where the feed is now."""
        async with self._snapshot() as connection:
            return await _present(connection)

    async def check(self, mark: Mark) -> None:
        """Make sure that the feed can be taken up from there.

        Raises:
            TooFarError: it can't.
        """
        async with self._snapshot() as connection:
            present = await _present(connection)
            if mark.server != present.server or mark.position > present.position:
                raise TooFarError
            span = (*_text(mark.position), str(present.position.tx))
            if await connection.fetchval(_DISTANCE, *span, RESUMABLE + 1) > RESUMABLE:
                raise TooFarError

    async def follow(self, follower: Follower, after: Mark, every: float) -> AsyncIterator[Seen | Rest]:
        """Everything that happens after this mark, in order, each once; and a rest soon, and then every so many seconds.

        It ends when the follower's time is over or their session ends, when they are disabled, and when the feed can't be
        read for some seconds, as nobody knows by then who may follow. What can't be understood of it is left out.
        `follower` is one for whom there is room.
        """
        position, rested = after.position, -math.inf
        stretch = await self._read_alone(position)
        while stretch is not None:
            for happening in stretch.happenings:
                if (holders := self._still(follower)) is None:
                    return
                state = self._states.get(happening.review) or stretch.states[happening.review]
                yield Seen(happening, state, holders)
            position = stretch.end.position
            if (holders := self._still(follower)) is None:
                return
            if time.monotonic() - rested >= every:
                yield Rest(stretch.end, holders)
                rested = time.monotonic()
            stretch = await self._after(position, wait=not stretch.more)

    async def _after(self, position: Position, *, wait: bool) -> _Stretch | None:
        """What comes after this position, in a moment at the latest; None if that can't be found out."""
        end = self._kept_to(position)
        if wait and (end is None or end.position <= position):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), POLL)
            end = self._kept_to(position)
        if end is not None:
            happenings = [happening for happening in self._tail if happening.mark.position > position]
            return _Stretch(Mark(end.server, max(end.position, position)), happenings, self._states, more=False)
        return await self._read_alone(position)

    def _kept_to(self, position: Position) -> Mark | None:
        """Where the feed has been read to; None if not everything after this position is kept."""
        return self._end if self._start is not None and self._start <= position else None

    async def _read_alone(self, position: Position) -> _Stretch | None:
        """What comes after this position, for one follower; None if that can't be found out."""
        try:
            async with asyncio.timeout(STALE):
                return await self._read(position)
        except Exception as error:  # noqa: BLE001 - whatever it is, they come back with the last id that they saw
            _log.warning("a stream ends", extra={"error": type(error).__name__})
            return None

    def _still(self, follower: Follower) -> tuple[Holder, ...] | None:
        """What a follower acts under; None if they may follow no more."""
        if datetime.now(UTC) >= follower.until:
            return None
        if follower.session is not None and follower.session not in self._holding:
            return None
        if self._end is not None and time.monotonic() - self._kept_up > STALE:
            _log.warning("a stream ends", extra={"error": "the feed was not read"})
            return None
        return self._holders.get(follower.person)

    async def _keep_up(self, heard: asyncio.Event) -> None:
        ours = False
        while True:
            try:
                if not ours:
                    await self._database.pool.execute(_FOREIGN)
                    ours = True
                if self._followers and await self._advance():
                    heard.set()
                self._kept_up = time.monotonic()
            except Exception as error:  # noqa: BLE001 - all who follow wait for this loop
                _log.warning("the feed was not read", extra={"error": type(error).__name__})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), POLL)
            heard.clear()

    async def _advance(self) -> bool:
        """Read what happened last. Returns whether there is more of it."""
        end = self._end or await self.present()
        stretch = await self._read(end.position)
        self._start = self._start or end.position
        self._end = stretch.end
        self._tail.extend(stretch.happenings)
        while len(self._tail) > _KEPT:
            self._start = self._tail.popleft().mark.position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()
        return stretch.more

    async def _read(self, position: Position) -> _Stretch:
        """A stretch of the feed, and, as of the same moment, what the followers may see of it."""
        async with self._reading, self._snapshot() as connection:
            present = await _present(connection)
            rows = await connection.fetch(_SINCE, *_text(position), str(present.position.tx), _BATCH)
            happenings = _understood(present.server, rows)
            reviews = sorted({happening.review for happening in happenings})
            states = readable(await connection.fetch(_STATES, reviews))
            people = sorted({follower.person for follower in self._followers})
            sessions = sorted({follower.session for follower in self._followers if follower.session is not None})
            acting: dict[PersonId, list[Holder]] = {}
            for row in await connection.fetch(_ACTING, people, await self._database.now(connection)):
                held = acting.setdefault(row["who"], [])
                held += [] if row["id"] is None else [holder(row)]
            holding = await self._sessions.holding(connection, sessions)
        self._holders = {person: tuple(held) for person, held in acting.items()}
        self._holding = holding
        recent = {happening.review for happening in self._tail}
        self._states = {review: state for review, state in self._states.items() if review in recent} | states
        more = len(rows) == _BATCH
        last = _position(rows[-1]) if more else max(present.position, position)
        happenings = [happening for happening in happenings if happening.review in states]
        return _Stretch(Mark(present.server, last), happenings, states, more)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Connection]:
        async with (
            self._database.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield connection


async def _present(connection: Connection) -> Mark:
    row = await connection.fetchrow(_NOW)
    assert row is not None
    server = hashlib.sha256(f"{row['system_identifier']}/{row['timeline_id']}".encode()).hexdigest()[:8]
    return Mark(server, Position(row["horizon"], 0))


def _text(position: Position) -> tuple[str, int]:
    return str(position.tx), position.id


def _position(row: asyncpg.Record) -> Position:
    return Position(row["tx"], row["id"])


def _understood(server: str, rows: Iterable[asyncpg.Record]) -> list[Happening]:
    """What happened, but for what makes no sense to this release: that is left out, and logged, and holds up nothing."""
    found: list[Happening] = []
    for row in rows:
        try:
            found.append(_happening(server, row))
        except ValueError as error:
            about = {"review_id": row["review_id"], "seq": row["seq"], "error": type(error).__name__}
            _log.error("a happening can't be read", extra=about)
    return found


def _happening(server: str, row: asyncpg.Record) -> Happening:
    return Happening(
        mark=Mark(server, _position(row)),
        review=row["review_id"],
        seq=row["seq"],
        entry=None if row["data"] is None else Entry.model_validate_json(row["data"]).event,
        was=None if row["was"] is None else Turn.model_validate_json(row["was"]),
        now=None if row["now"] is None else Turn.model_validate_json(row["now"]),
    )
