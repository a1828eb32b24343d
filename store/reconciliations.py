"""What the reconciler writes down: what was compared, what differs, and when it last went round."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from activities.ports import Checked, Delivery, Found, LastRound, Limits
from domain.discrepancies import ON_RECORD, Difference, Differs
from domain.ledger import GENESIS, Entry
from domain.reconciliation import Known, Look
from domain.review import fold
from domain.state import Review
from domain.verification import Evidence, Verification, WorkflowState, verify
from store.database import Connection, Database
from store.decisions import Decisions, PendingError
from store.registry import KeyNotInForceError
from store.reviews import ROWS_DIGEST, Reviews

# A workflow that ended is known to Temporal for its namespace's retention, which is an hour at least.
_LAST_ROUND = """
select workflow_id, run_id, ended_at, ended_at > clock_timestamp() - interval '30 minutes' as retained
from rounds
"""

_RESTORED = "select exists (select from discrepancies where what = 'restored' and cleared_at is null)"

_END_ROUND = """
insert into rounds (workflow_id, run_id) values ($1, $2)
on conflict (one) do update set workflow_id = $1, run_id = $2, ended_at = clock_timestamp()
"""

_ALL_COMPARED = """
update discrepancies set cleared_at = clock_timestamp() where what = 'restored' and cleared_at is null and not exists (
    select from comparisons c join reviews r on r.id = c.review_id where c.compared_at is null and r.outcome is null
)
"""

_OPEN = "select id from reviews where outcome is null order by id"

_DIFFERING = "select distinct review_id from discrepancies where cleared_at is null and review_id is not null"

# One with other entries than at the last comparison has other rows, too: it has changed.
_ALTERED = f"""
select r.id from reviews r
left join comparisons c on c.review_id = r.id
left join lateral (select l.seq, l.hash from ledger l where l.review_id = r.id order by l.seq desc limit 1) last on true
where r.id = any($1) and (
    r.seq <> coalesce(last.seq, 0) or r.head <> coalesce(last.hash, $2)
    or (c.entries = r.seq and c.rows_digest <> {ROWS_DIGEST})
)
"""  # noqa: S608 - put together of constants

_IS_DONE = "exists (select from unnest($1::text[]) as done (id) where done.id = r.id)"

# Whatever has waited longest comes first, so that none waits for ever; but no crowd of new reviews comes before one that
# was reset.
_CHANGED = f"""
select r.id from reviews r
left join comparisons c on c.review_id = r.id
left join unnest($3::text[], $4::text[]) as running (review_id, run) on running.review_id = r.id
where (r.seq > 0 or r.submitted_at < clock_timestamp() - interval '1 minute')
and (c.compared_at is null or c.entries <> r.seq or running.run <> c.run) and not {_IS_DONE}
order by coalesce(running.run <> c.run, false) desc, coalesce(c.compared_at, r.submitted_at) limit $2
"""  # noqa: S608 - put together of constants

_IN_TURN = f"""
select r.id from comparisons c join reviews r on r.id = c.review_id
where c.compared_at is not null and (r.outcome is null) = $3 and not {_IS_DONE}
order by c.compared_at, r.id limit $2
"""  # noqa: S608 - put together of constants

_KNOWN = "select run, chain, seen, signals from comparisons where review_id = $1"

_ROWS = f"""
select r.submitted_at < clock_timestamp() - interval '1 minute' as expected, {ROWS_DIGEST} as rows
from reviews r where r.id = $1
"""  # noqa: S608 - put together of constants

_COMPARED = """
insert into comparisons (review_id, entries, rows_digest, compared_at) values ($1, $2, $3, clock_timestamp())
on conflict (review_id) do update set entries = $2, rows_digest = $3, compared_at = clock_timestamp()
"""

_LEARNT = "update comparisons set run = $2, chain = $3, seen = $4, signals = $5 where review_id = $1"

_CLEAR = """
update discrepancies set cleared_at = clock_timestamp()
where review_id = $1 and cleared_at is null and what <> all($2::text[])
"""

_FIND = """
insert into discrepancies (review_id, what, run, detail) values ($1, $2, $3, $4)
on conflict (coalesce(review_id, ''), what) where cleared_at is null
do update set run = excluded.run, detail = excluded.detail, seen_at = clock_timestamp()
returning xmax = 0
"""

_FORGET = "update comparisons set compared_at = null where review_id in (select id from reviews where outcome is null)"

_NOT_ENTERED = """
select d.id, d.review_id, d.what, d.run, d.detail from discrepancies d
join reviews r on r.id = d.review_id and r.seq > 0
where d.entered_at is null and d.what = any($1) order by d.noticed_at limit 500
"""

_ENTERED = "update discrepancies set entered_at = clock_timestamp() where id = $1"

_DISCREPANCIES = """
select review_id, what, run, detail, noticed_at, entered_at is not null as on_record from discrepancies
where cleared_at is null order by noticed_at, review_id limit $1
"""


@dataclass(frozen=True)
class Discrepancy:
    """Something that differs now; `review_id` is None where it concerns them all."""

    review_id: str | None
    what: Differs
    run: str | None
    detail: str
    noticed_at: datetime
    on_record: bool


class Reconciliations:
    """The reconciler's book, in `database`; implements its port. `decisions` stores what it has to say on record."""

    def __init__(self, database: Database, decisions: Decisions) -> None:
        self._database = database
        self._pool = database.pool
        self._decisions = decisions
        self._reviews = Reviews(database)
        self._verifying = asyncio.Lock()

    async def last_round(self) -> LastRound | None:
        """The round before this one."""
        row = await self._pool.fetchrow(_LAST_ROUND)
        return None if row is None else LastRound(**dict(row))

    async def is_restored(self) -> bool:
        """Whether not every open review was compared since a restoration."""
        restored: bool = await self._pool.fetchval(_RESTORED)
        return restored

    async def end_round(self, workflow_id: str, run_id: str) -> None:
        """Leave the name of this round for the next."""
        await self._pool.execute(_END_ROUND, workflow_id, run_id)
        await self._pool.execute(_ALL_COMPARED)

    async def open_reviews(self) -> Sequence[str]:
        """The reviews that were submitted and have no outcome."""
        return [row["id"] for row in await self._pool.fetch(_OPEN)]

    async def differing(self) -> Sequence[str]:
        """The reviews of which something is written down."""
        return [row["review_id"] for row in await self._pool.fetch(_DIFFERING)]

    async def altered(self, reviews: Sequence[str]) -> Sequence[str]:
        """Those whose rows are not as they were left."""
        return [row["id"] for row in await self._pool.fetch(_ALTERED, reviews, GENESIS)]

    async def due(self, running: Mapping[str, str], done: Collection[str], limits: Limits) -> Sequence[str]:
        """The reviews to be compared now."""
        runs = list(running.keys()), list(running.values())
        due = [row["id"] for row in await self._pool.fetch(_CHANGED, list(done), limits.changed, *runs)]
        for limit, is_open in ((max(0, limits.in_depth - len(due)), True), (limits.closed, False)):
            due += [row["id"] for row in await self._pool.fetch(_IN_TURN, [*done, *due], limit, is_open)]
        return due

    async def known(self, review: str) -> Known:
        """What was known of its workflow."""
        row = await self._pool.fetchrow(_KNOWN, review)
        return (
            Known()
            if row is None
            else Known(run=row["run"], chain=row["chain"], seq=row["seen"], signals=row["signals"])
        )

    async def check(self, review: str) -> Checked:
        """The check of its record by itself."""
        # First of all: so whatever is changed from here on is other rows than these.
        row = await self._pool.fetchrow(_ROWS, review)
        if row is None:
            return Checked()
        return Checked(await self._verified(review), **dict(row))

    async def _verified(self, review: str) -> Verification | None:
        try:
            record = await self._reviews.record(review)
        except ValueError as error:
            return await self._by_the_ledger(review, error)
        if record is None:
            return None
        alone = WorkflowState(status="gone")
        evidence = Evidence(review=review, entries=record[0], read_model=record[1], workflow=alone)
        async with self._verifying:  # in a thread, and one at a time: commits are not to wait for it
            return await asyncio.to_thread(verify, evidence)

    async def _by_the_ledger(self, review: str, error: ValueError) -> Verification:
        """What is to be said of a review whose rows make no sense: that they do not, and how far its ledger goes."""
        what = error.title if isinstance(error, ValidationError) else type(error).__name__
        said = f"its rows can't be read ({what})"
        try:
            recorded = await self._reviews.entries(review)
            folded = fold(review, (Entry.model_validate_json(entry.data).event for entry in recorded))
        except ValueError:
            return Verification(0, said, GENESIS, Review(id=review))
        return Verification(len(recorded), said, recorded[-1].hash if recorded else GENESIS, folded)

    async def compared(self, review: str, look: Look, found: Sequence[Difference]) -> Sequence[Difference]:
        """Write down what differs at this look; return what is new."""
        async with self._database.transaction() as connection:
            if look.record is not None:
                await connection.execute(_COMPARED, review, look.record.entries, look.rows)
                if look.word is not None:
                    word = look.word
                    await connection.execute(_LEARNT, review, word.run, word.chain, word.seq, word.signals)
            await connection.execute(_CLEAR, review, [difference.what for difference in found])
            return [difference for difference in found if await _is_new(connection, review, difference)]

    async def forget(self, restored: Difference) -> bool:
        """Have every open review compared again."""
        async with self._database.transaction() as connection:
            await connection.execute(_FORGET)
            return await _is_new(connection, None, restored)

    async def not_entered(self) -> Sequence[Found]:
        """What belongs on the ledger of a review that has one."""
        return [
            Found(row["id"], row["review_id"], Difference(what=row["what"], run=row["run"], detail=row["detail"]))
            for row in await self._pool.fetch(_NOT_ENTERED, sorted(ON_RECORD))
        ]

    async def enter(self, found: Found) -> Delivery | None:
        """Store the decision that puts it on record."""
        try:
            return await self._decisions.word_from_the_reconciler(found)
        except (PendingError, KeyNotInForceError):  # for now; it stays to be put on record
            return None

    async def entered(self, found: Found) -> None:
        """Write down that it stands on record."""
        await self._pool.execute(_ENTERED, found.id)

    async def discrepancies(self, limit: int) -> tuple[Discrepancy, ...]:
        """What differs now, the oldest first."""
        rows = await self._pool.fetch(_DISCREPANCIES, limit)
        return tuple(Discrepancy(**{**dict(row), "what": Differs(row["what"])}) for row in rows)

    async def last_ended(self) -> datetime | None:
        """When the last round ended."""
        moment: datetime | None = await self._pool.fetchval("select ended_at from rounds")
        return moment


async def _is_new(connection: Connection, review: str | None, difference: Difference) -> bool:
    new: bool = await connection.fetchval(_FIND, review, difference.what, difference.run, difference.detail)
    return new
