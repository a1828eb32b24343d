"""Reading reviews: the state, the record, the lists, the inbox."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import asyncpg

from domain.access import may_read, opening_all
from domain.canonical import canonical_bytes, sha256
from domain.events import Assessed
from domain.facts import Standing
from domain.ledger import Entry, Recorded, Settlement
from domain.people import Role
from domain.proposal import Proposal
from domain.state import Review, Subject
from domain.turns import Turn, falls_to
from domain.values import Digest, PersonId, ReviewId
from domain.verification import Heading, ReadModel, named_by
from store.database import Database
from store.states import readable, state_of
from store.turns import COLUMNS, FALLS_TO, holder, turn

_OF_PROPOSER = """
select id, title, business_unit, owner, author, tier, stage, outcome, submitted_at, closed_at from reviews
where (owner = $1 or author = $1) and ($3::timestamptz is null or submitted_at < $3)
order by submitted_at desc limit $2
"""

_ALL = """
select id, title, business_unit, owner, author, tier, stage, outcome, submitted_at, closed_at, seq, aside, assigned, units
from reviews where $1::timestamptz is null or submitted_at < $1 order by submitted_at desc
"""

_COLUMNS = (
    *("seq", "head", "state", "stage", "phase", "outcome", "closed_at", "aside", "assigned", "units"),
    *Heading.model_fields,
)

_ROW = f"select {', '.join(_COLUMNS)} from reviews where id = $1"  # noqa: S608 - of constants

_TURNS = f"select {', '.join(COLUMNS)} from turns where review_id = $1 order by position"  # noqa: S608 - of constants

_INBOX = f"""
with mine as materialized (select * from acting($2) where person = $1)
select t.*, r.id, r.title, r.state
from turns t join reviews r on r.id = t.review_id
where t.role in (select role from mine) and exists (select from mine a where {FALLS_TO})
and ($3::text[] is null or t.role = any ($3)) and ($4::text[] is null or t.review_id = any ($4))
order by t.due_at nulls last, t.since, t.review_id, t.position
"""  # noqa: S608 - put together of constants

# Their own before what others left to them.
_MINE = "select person as who, * from acting($2) where person = $1 order by holder <> $1, id"

_AS_ONE: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
"""A transaction that reads as of one moment."""

_RECEIPTS = """
select id as decision, status, reason, detail, seq, settled_at as at from decisions
where review_id = $1 and status <> 'pending' order by seq, id
"""

# In binary: as text, moments would be written in whatever time zone a session has.
ROWS_DIGEST = f"""encode(sha256(record_send(row(
    {", ".join(f"r.{name}" for name in _COLUMNS)},
    array(
        select record_send(row({", ".join(f"t.{name}" for name in COLUMNS)}))
        from turns t where t.review_id = r.id order by t.position
    ),
    array(
        select record_send(row(d.id, d.status, d.reason, d.detail, d.seq, d.settled_at))
        from decisions d where d.review_id = r.id and d.status <> 'pending' order by d.seq, d.id
    )
))), 'hex')"""  # noqa: S608 - put together of constants
"""The digest, as an expression of SQL, of all rows that `record` reads of the review `r` but its ledger."""

_ENTRIES = "select seq, data, hash from ledger where review_id = $1 and seq > $2 order by seq limit $3"

_PROPOSALS = "select content from proposals where digest = any($1) order by digest"

_PACKS = "select content from policy_packs where digest = any($1) order by digest"


@dataclass(frozen=True)
class Listed:
    """A review in a list."""

    id: str
    title: str
    business_unit: str
    owner: PersonId
    author: PersonId
    tier: int | None
    stage: str | None
    outcome: str | None
    submitted_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True)
class InboxItem:
    """Something that waits for a person, or for whoever left it to them: `for_person`."""

    state: Review
    title: str
    turn: Turn
    for_person: PersonId | None


class Reviews:
    """Reads of reviews, from `database`."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._database = database

    async def state(self, review_id: str) -> Review | None:
        """The review as it stands, or None; one that was submitted and not opened yet has no stage."""
        row = await self._pool.fetchrow(
            "select state, title, business_unit, owner, author from reviews where id = $1", review_id
        )
        return None if row is None else state_of(review_id, row)

    async def of_proposer(self, person: PersonId, limit: int, before: datetime | None = None) -> tuple[Listed, ...]:
        """The reviews that a person owns or wrote, the newest first, submitted before `before`."""
        return tuple(_listed(row) for row in await self._pool.fetch(_OF_PROPOSER, person, limit, before))

    async def all(
        self, person: PersonId, standing: Standing, limit: int, before: datetime | None = None
    ) -> tuple[Listed, ...]:
        """All reviews that `person` may read by a role that opens every one, the newest first, submitted before
        `before`: but those that they stepped aside from, and those that a conflict of interest keeps them from judging.
        """
        by = standing.model_copy(update={"grants": opening_all(standing.grants)})
        found: list[Listed] = []
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            cursor = await connection.cursor(_ALL, before)
            while len(found) < limit and (rows := await cursor.fetch(limit)):
                found += [_listed(row) for row in rows if may_read(_outlined(row), person, by)]
        return tuple(found[:limit])

    async def inbox(
        self,
        person: PersonId,
        limit: int,
        sees: Callable[[Review], bool],
        roles: Collection[Role] | None = None,
        reviews: Collection[ReviewId] | None = None,
    ) -> tuple[InboxItem, ...]:
        """What waits for this person, by roles that they hold or were left, or by name, the most urgent first: in these
        roles and reviews alone, where they are given. What they don't see is left out, but for operators, who are asked
        for roles and are told no more of the review than its title.
        """
        found: list[InboxItem] = []
        async with self._pool.acquire() as connection, connection.transaction(**_AS_ONE):
            now = await self._database.now(connection)
            mine = [holder(row) for row in await connection.fetch(_MINE, person, now)]
            cursor = await connection.cursor(_INBOX, person, now, roles, reviews)
            while len(found) < limit and (rows := await cursor.fetch(limit)):
                states = readable(rows)
                for row in rows:
                    its = turn(row)
                    by = next((each.grant.person for each in mine if falls_to(its, each)), None)
                    state = states.get(row["id"])
                    if state is None or by is None or not (its.role is Role.OPERATOR or sees(state)):
                        continue
                    found.append(
                        InboxItem(state=state, title=row["title"], turn=its, for_person=None if by == person else by)
                    )
        return tuple(found[:limit])

    async def proposal(self, digest: Digest) -> Proposal | None:
        """The proposal with this content digest."""
        content = await self._pool.fetchval("select content from proposals where digest = $1", digest)
        return None if content is None else Proposal.model_validate_json(content, extra="ignore")

    async def revisions(self, review_id: str) -> tuple[Digest, ...]:
        """The content digests of the review's revisions, in order."""
        events = await self.events(review_id)
        return tuple(entry.event.content_digest for entry in events if isinstance(entry.event, Assessed))

    async def names_document(self, review_id: str, digest: Digest) -> bool:
        """Whether a revision of the review's proposal names this document."""
        for revision in await self.revisions(review_id):
            proposal = await self.proposal(revision)
            if proposal is not None and any(document.digest == digest for document in proposal.documents):
                return True
        return False

    async def entries(self, review_id: str, after: int = 0, limit: int | None = None) -> tuple[Recorded, ...]:
        """The ledger's entries after `after`, at most `limit`, as stored."""
        rows = await self._pool.fetch(_ENTRIES, review_id, after, limit)
        return tuple(_recorded(row) for row in rows)

    async def events(self, review_id: str, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        """The ledger's entries after `after`, at most `limit`, read."""
        rows = await self._pool.fetch(_ENTRIES, review_id, after, limit)
        return tuple(Entry.model_validate_json(row["data"]) for row in rows)

    async def texts(self, entries: Iterable[Recorded]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The proposals, and the policy packs, that decisions among these entries name, as stored."""
        proposals, packs = named_by(entries)
        found = [
            await self._pool.fetch(query, list(named)) for query, named in ((_PROPOSALS, proposals), (_PACKS, packs))
        ]
        # What is no text has not the digest either that it is stored under, and whoever checks it says so.
        first, second = (tuple(row["content"].decode(errors="replace") for row in rows) for rows in found)
        return first, second

    async def record(self, review_id: str) -> tuple[tuple[Recorded, ...], ReadModel] | None:
        """The whole ledger of a review and what the read model says of it, as of one moment."""
        async with (
            self._pool.acquire() as connection,
            connection.transaction(**_AS_ONE),
        ):
            row = await connection.fetchrow(_ROW, review_id)
            if row is None:
                return None
            entries = await connection.fetch(_ENTRIES, review_id, 0, None)
            turns = await connection.fetch(_TURNS, review_id)
            receipts = await connection.fetch(_RECEIPTS, review_id)
        model = ReadModel(
            seq=row["seq"],
            head=row["head"],
            state_digest=sha256(row["state"] or canonical_bytes(Review(id=review_id))),
            stage=row["stage"],
            phase=row["phase"],
            outcome=row["outcome"],
            closed_at=row["closed_at"],
            aside=row["aside"],
            assigned=row["assigned"],
            units=row["units"],
            heading=Heading.model_validate({name: row[name] for name in Heading.model_fields}),
            turns=tuple(turn(each) for each in turns),
            receipts=tuple(Settlement.model_validate(dict(each)) for each in receipts),
        )
        return tuple(_recorded(entry) for entry in entries), model


def _listed(row: asyncpg.Record) -> Listed:
    return Listed(**{each.name: row[each.name] for each in fields(Listed)})


def _outlined(row: asyncpg.Record) -> Review:
    """As much of a review as it takes to know who may read it by a role that opens every one."""
    subject = Subject(**{name: row[name] for name in ("title", "business_unit", "owner", "author")}, staff=())
    known = {name: row[name] for name in ("seq", "aside", "assigned", "units")}
    return Review(id=row["id"], subject=subject, **known)


def _recorded(row: asyncpg.Record) -> Recorded:
    # What is no text is shown as far as it can be: to say what is wrong with it is the auditor's.
    return Recorded(seq=row["seq"], data=row["data"].decode(errors="backslashreplace"), hash=row["hash"])
