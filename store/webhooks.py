"""Webhooks: who registered which, and what is on its way to them."""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from activities.ports import Post, PostAttempt
from domain.cloud_events import cloud_event, event_id
from domain.ledger import Entry
from domain.values import PersonId, ReviewId
from store.database import Database

LEASE = timedelta(minutes=2)
"""After so long, what was claimed and is not settled is claimed again: longer than any attempt takes."""

SECRET_BYTES = 32

UNREADABLE = "the entry can't be read"
"""Why a post failed whose entry makes no sense to the release that was to post it."""

UNNAMED = "urn:ringi"
"""What events call us where we have no address."""

_REGISTER = """
insert into webhooks (url, secret, entries, registered_by) values ($1, $2, $3, $4) returning id
"""

_ALL = """
select w.id, w.url, w.entries, w.registered_by, w.registered_at,
    count(*) filter (where p.state = 'waiting') as waiting,
    count(*) filter (where p.state = 'delivered') as delivered,
    count(*) filter (where p.state = 'failed') as failed
from webhooks w left join posts p on p.webhook = w.id where w.removed_at is null
group by w.id order by w.registered_at, w.id
"""

_REMOVE = """
with removed as (
    update webhooks set removed_at = clock_timestamp(), removed_by = $2 where id = $1 and removed_at is null returning id
), given_up as (
    update posts set state = 'failed', error = 'the webhook was removed', settled_at = clock_timestamp()
    where webhook = (select id from removed) and state = 'waiting'
)
select count(*) > 0 from removed
"""

_POSTS = """
select webhook, review_id, seq, queued_at, state, attempts, error, settled_at from posts
where webhook = $1 and ($2::text is null or state = $2) and queued_at < coalesce($4, 'infinity'::timestamptz)
order by queued_at desc limit $3
"""

_CLAIM = """
with due as (
    select d.webhook, d.review_id, d.seq from webhooks w cross join lateral (
        select p.webhook, p.review_id, p.seq, p.next_attempt_at from posts p
        where p.webhook = w.id and p.state = 'waiting' and p.next_attempt_at <= $1
        order by p.next_attempt_at limit $4 for update skip locked
    ) d
    where w.removed_at is null and w.id <> all($5::uuid[]) order by d.next_attempt_at limit $3
)
update posts p set attempts = p.attempts + 1, next_attempt_at = $1::timestamptz + $2::interval
from due, webhooks w, ledger l
where (p.webhook, p.review_id, p.seq) = (due.webhook, due.review_id, due.seq) and w.id = p.webhook
    and (l.review_id, l.seq) = (p.review_id, p.seq)
returning p.webhook, p.review_id, p.seq, p.attempts, $1::timestamptz - p.queued_at as age, w.url, w.secret, l.data, l.hash
"""

_SETTLED = """
update posts set state = $4, error = $5, settled_at = clock_timestamp()
where webhook = $1 and review_id = $2 and seq = $3 and state = 'waiting'
"""

_AGAIN = """
update posts set next_attempt_at = $4::timestamptz + $5::interval, error = $6
where webhook = $1 and review_id = $2 and seq = $3 and state = 'waiting'
"""


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A webhook, without its secret, and how many posts to it are in which state."""

    id: UUID
    url: str
    entries: tuple[str, ...]
    registered_by: PersonId
    registered_at: datetime
    waiting: int
    delivered: int
    failed: int


@dataclass(frozen=True)
class Posted:
    """What became of the post of one entry."""

    webhook: UUID
    review_id: ReviewId
    seq: int
    queued_at: datetime
    state: str
    attempts: int
    error: str | None
    settled_at: datetime | None


class Webhooks:
    """Webhooks and what is posted to them, in `database`; `source` is what their events call us."""

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source = source

    async def register(self, url: str, entries: Sequence[str], by: PersonId) -> tuple[UUID, str]:
        """Post entries of these types there from now on. Returns the webhook's id, and the secret that signs the posts:
        nobody is told it again.
        """
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        registered: UUID = await self._database.pool.fetchval(_REGISTER, url, secret, list(entries), by)
        return registered, secret

    async def all(self) -> tuple[Registered, ...]:
        """The webhooks that are posted to."""
        rows = await self._database.pool.fetch(_ALL)
        return tuple(Registered(**{**dict(row), "entries": tuple(row["entries"])}) for row in rows)

    async def remove(self, webhook: UUID, by: PersonId) -> bool:
        """Post nothing more there. Returns whether anything was posted there until now."""
        return bool(await self._database.pool.fetchval(_REMOVE, webhook, by))

    async def knows(self, webhook: UUID) -> bool:
        """Whether this webhook was ever registered; it may have been removed since."""
        return bool(await self._database.pool.fetchval("select exists (select from webhooks where id = $1)", webhook))

    async def posts(
        self, webhook: UUID, state: str | None, limit: int, before: datetime | None = None
    ) -> tuple[Posted, ...]:
        """What became of the posts to a webhook, those queued last first."""
        rows = await self._database.pool.fetch(_POSTS, webhook, state, limit, before)
        return tuple(Posted(**dict(row)) for row in rows)

    async def claim(self, limit: int, *, each: int, but: Sequence[UUID]) -> Sequence[PostAttempt]:
        """Claim up to `limit` posts that are due, up to `each` for a webhook, and none for these. What can't be read is
        given up, and logged; it holds up no other.
        """
        attempts: list[PostAttempt] = []
        async with self._database.transaction() as connection:
            now = await self._database.now(connection)
            for row in await connection.fetch(_CLAIM, now, LEASE, limit, each, list(but)):
                try:
                    attempts.append(self._attempt(row))
                except ValueError as error:
                    about = {"review_id": row["review_id"], "seq": row["seq"], "error": type(error).__name__}
                    _log.error("an entry can't be posted", extra=about)
                    which = (row["webhook"], row["review_id"], row["seq"])
                    await connection.execute(_SETTLED, *which, "failed", UNREADABLE)
        return attempts

    async def delivered(self, attempt: PostAttempt) -> None:
        """Note that an event was taken."""
        await self._database.pool.execute(
            _SETTLED, attempt.post.webhook, attempt.review, attempt.seq, "delivered", None
        )

    async def undelivered(self, attempt: PostAttempt, why: str, again_in: timedelta | None) -> None:
        """Note that an event was not taken, and when it is tried again, if it is."""
        which = (attempt.post.webhook, attempt.review, attempt.seq)
        async with self._database.transaction() as connection:
            if again_in is None:
                await connection.execute(_SETTLED, *which, "failed", why)
            else:
                await connection.execute(_AGAIN, *which, await self._database.now(connection), again_in, why)

    def _attempt(self, row: asyncpg.Record) -> PostAttempt:
        entry = Entry.model_validate_json(row["data"])
        post = Post(
            webhook=row["webhook"],
            url=row["url"],
            secret=row["secret"],
            event_id=event_id(row["review_id"], row["seq"]),
            body=cloud_event(self._source, row["review_id"], row["seq"], row["hash"], entry.event),
        )
        return PostAttempt(number=row["attempts"], age=row["age"], review=row["review_id"], seq=row["seq"], post=post)
