"""Being told: who is told what, by which mail, and what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from pydantic import TypeAdapter

from activities.ports import Letter, MailAttempt
from domain.letters import Item, letter
from domain.notices import ABOUT_TURNS, TOLD_WITHIN, Kind, Notice, Preferences, Queued, as_it_stands, concerned, telling
from domain.people import Role
from domain.state import Review
from domain.values import Line, MailAddress, PersonId, ReviewId
from store.database import Connection, Database
from store.standing import changes_of_roles
from store.states import readable
from store.turns import holder

LEASE = timedelta(minutes=5)
"""After so long, what was claimed and is not settled is claimed again: longer than any attempt takes."""

_MAIL = """
insert into mails (event_id, address, subject, body) values ($1, $2, $3, $4) on conflict (event_id) do nothing
"""

_NEW = """
select id, review_id, kind, what, role, office, person, answered_by, due_at, queued_at from notices
where addressed_at is null and id > $2 order by id limit $1 for update skip locked
"""

_ADDRESSED = "update notices set addressed_at = clock_timestamp() where id = any($1::bigint[])"

_CANDIDATES = """
select p.id as who, a.id, a.holder, a.holder_unit, a.role, a.office, a.granted_by, a.unit, a.lent_by
from people p left join acting($4) a on a.person = p.id
where p.disabled_at is null and case
    when $2::text is null then p.id = $1
    else p.id in (
        select person from acting($4) where role = $2 and (office = $3 or $3 is null) and (holder = $1 or $1 is null)
    )
end
"""

_PEOPLE = """
select p.id, p.name, p.email, f.pace, f.kinds, f.time_zone, f.hour
from people p left join preferences f on f.person = p.id where p.id = any($1::text[])
"""

_TELLING = """
insert into tellings (notice, person, due_at, state, settled_at)
values ($1, $2, $3, $4, case when $4 = 'waiting' then null else clock_timestamp() end) on conflict do nothing
"""

_BEHIND = """
select id, state, roles_told from reviews where outcome is null and state is not null and roles_told < $1
and (roles_told, id) > ($3, $4) order by roles_told, id limit $2
"""

_OF_TURNS = """
select id, review_id, kind, what, role, office, person, answered_by, due_at, queued_at from notices
where review_id = any($1::text[]) and kind = any($2::text[]) order by id
"""

# But for those of whom it was left out while it was news, as it was not theirs then.
_KNOWN = """
select t.notice, t.person from tellings t join notices n on n.id = t.notice
where t.notice = any($1::bigint[])
    and not (t.state = 'past' and t.settled_at < coalesce(t.since, n.queued_at) + $2::interval)
"""

_TELLING_ANEW = """
insert into tellings (notice, person, due_at, state, settled_at, since)
values ($1, $2, $3, $4, case when $4 = 'waiting' then null else clock_timestamp() end, $5)
on conflict (notice, person) do update set due_at = excluded.due_at, state = excluded.state, mail = null,
    settled_at = excluded.settled_at, since = excluded.since
where tellings.state = 'past'
"""

_CAUGHT_UP = """
update reviews set roles_told = $2 from (
    select r.id from reviews r where r.id = any($1::text[]) order by r.id for no key update of r skip locked
) as free where free.id = reviews.id
"""

_GATHER = """
with due as (
    select distinct t.person from tellings t where t.state = 'waiting' and t.due_at <= $1
    and not exists (select from mails m where m.person = t.person and m.state = 'waiting') limit $2
), fresh as (
    insert into mails (person, queued_at, next_attempt_at) select person, $1, $1 from due on conflict do nothing
    returning id, person
), gathered as (
    update tellings t set state = 'mailing', mail = fresh.id from fresh
    where t.person = fresh.person and t.state = 'waiting'
)
select count(*) from due
"""

_CLAIM = """
update mails set attempts = attempts + 1, next_attempt_at = $1::timestamptz + $2::interval where id in (
    select id from mails where state = 'waiting' and next_attempt_at <= $1 order by next_attempt_at limit $3
    for update skip locked
) returning id, attempts, $1::timestamptz - queued_at as age
"""

_CARRIED = """
select n.id, n.review_id, n.kind, n.what, n.role, n.office, n.person, n.answered_by, n.due_at, n.queued_at, t.person as reader,
    coalesce(t.since, n.queued_at) as since
from tellings t join notices n on n.id = t.notice where t.mail = $1 and t.state = 'mailing' order by n.id for update of t
"""

_LEFT_OUT = """
update tellings set state = $3, settled_at = $4 where mail = $1 and notice = any($2::bigint[])
"""

_SETTLED = """
with mail as (
    update mails set state = $2, error = $4, body = null, settled_at = clock_timestamp()
    where id = $1 and state = 'waiting'
)
update tellings set state = $3, settled_at = clock_timestamp() where mail = $1 and state = 'mailing'
"""

_AGAIN = """
update mails set next_attempt_at = $2::timestamptz + $3::interval, error = $4 where id = $1 and state = 'waiting'
"""

_PREFER = """
insert into preferences (person, pace, kinds, time_zone, hour) values ($1, $2, $3, $4, $5)
on conflict (person) do update set pace = excluded.pace, kinds = excluded.kinds, time_zone = excluded.time_zone,
    hour = excluded.hour, updated_at = clock_timestamp()
"""

_WAITING = """
select t.notice, n.kind from tellings t join notices n on n.id = t.notice
where t.person = $1 and t.state = 'waiting' for update of t
"""

_RETIMED = """
update tellings set due_at = $3, state = case when $3::timestamptz is null then 'unwanted' else state end,
    settled_at = case when $3::timestamptz is null then clock_timestamp() end
where notice = $1 and person = $2
"""

_OF_PERSON = """
select n.id, n.review_id, r.title, n.seq, n.kind, n.what, n.role, n.due_at, n.queued_at, t.person, t.state,
    t.mail, t.due_at as mail_at, t.settled_at, m.attempts, m.error
from tellings t join notices n on n.id = t.notice join reviews r on r.id = n.review_id left join mails m on m.id = t.mail
where t.person = $1 and t.notice < $2 order by t.notice desc limit $3
"""

_OF_REVIEW = """
select n.id, n.review_id, r.title, n.seq, n.kind, n.what, n.due_at, n.queued_at, t.person, t.state, t.mail,
    t.due_at as mail_at, t.settled_at, m.attempts, m.error
from (select * from notices where review_id = $1 and id > $2 order by id limit $3) n
join reviews r on r.id = n.review_id
left join tellings t on t.notice = n.id left join mails m on m.id = t.mail
order by n.id, t.person
"""

_FIRST = (-1, "")

_address: TypeAdapter[str] = TypeAdapter(MailAddress)
_line: TypeAdapter[str] = TypeAdapter(Line)


class NobodyHereError(Exception):
    """Nobody is entered under this id."""


@dataclass(frozen=True)
class Told:
    """A notice, and what became of it for one person; `person` is None while nobody was found whom it is for."""

    id: int
    review_id: ReviewId
    title: str
    seq: int
    kind: str
    what: str
    due_at: datetime | None
    queued_at: datetime
    person: PersonId | None
    state: str | None
    mail: UUID | None
    mail_at: datetime | None
    settled_at: datetime | None
    attempts: int | None
    error: str | None


async def queue_mail(connection: Connection, event_id: str, address: str, subject: str, text: str) -> None:
    """Have a mail sent to an address that is nobody's account, once the transaction of `connection` is committed.

    It goes out at least once; a repeat bears the same Message-ID. Its text is kept until it is gone, and no longer.

    Args:
        connection: in the transaction that the mail tells of.
        event_id: of what is told; queued again under the same one, nothing more is sent.
        address: where to.
        subject: one line.
        text: plain text.

    Raises:
        ValueError: the address or the subject is not one.
    """
    await connection.execute(_MAIL, event_id, _address.validate_python(address), _line.validate_python(subject), text)


async def recipients(connection: Connection, notice: Notice, review: Review, at: datetime) -> tuple[PersonId, ...]:
    """Whom a notice is for at this moment, by the grants in force."""
    return _among(await connection.fetch(_CANDIDATES, *_whom(notice), at), notice, review)


def _whom(notice: Notice) -> tuple[PersonId | None, str | None, str | None]:
    return notice.person, notice.role, notice.office


def _among(rows: Sequence[asyncpg.Record], notice: Notice, review: Review) -> tuple[PersonId, ...]:
    able = {row["who"] for row in rows}
    holders = [holder(row) for row in rows if row["id"] is not None]
    return tuple(person for person in concerned(notice, review, holders) if person in able)


class Notices:
    """Notices, mails and preferences, in `database`.

    Args:
        database: where they are.
        default: what somebody gets who has said nothing.
        site: where the API is, for the mails to name.
    """

    def __init__(self, database: Database, default: Preferences, site: str | None = None) -> None:
        self._database = database
        self.default = default
        self._site = site
        # How far each of the two has looked since it last came to the end: what can't be read stays where it is.
        self._notice = 0
        self._review: tuple[int, ReviewId] = _FIRST

    async def address(self, limit: int) -> int:
        """Find out whom up to `limit` new notices are for, and when each is written to. Returns how many they were, those
        included that can't be read: they are passed over, and looked at again once the others are done.
        """
        rows = await self._address(limit)
        self._notice = rows[-1]["id"] if len(rows) == limit else 0
        return len(rows)

    async def _address(self, limit: int) -> list[asyncpg.Record]:
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_NEW, limit, self._notice)
            if not rows:
                return rows
            now = await self._database.now(connection)
            reviews = await _reviews(connection, rows)
            known = [row for row in rows if row["review_id"] in reviews]
            found = [
                (row["id"], notice.kind, person)
                for row in known
                for notice in (_notice(row),)
                for person in await recipients(connection, notice, reviews[row["review_id"]], now)
            ]
            readers = await self._readers(connection, {person for _, _, person in found})
            await connection.executemany(
                _TELLING, [(notice, person, *readers[person].told(kind, now)) for notice, kind, person in found]
            )
            await connection.execute(_ADDRESSED, [row["id"] for row in known])
            return rows

    async def address_anew(self, limit: int) -> int:
        """Find out to whom else what up to `limit` reviews wait for falls since roles or absences changed, and when
        they are written to; whoever was told already is not told again. Returns how many reviews they were, those included
        that can't be read.
        """
        rows = await self._address_anew(limit)
        self._review = (rows[-1]["roles_told"], rows[-1]["id"]) if len(rows) == limit else _FIRST
        return len(rows)

    async def _address_anew(self, limit: int) -> list[asyncpg.Record]:
        async with self._database.transaction() as connection:
            now = await self._database.now(connection)
            changes = await changes_of_roles(connection, now)
            rows = await connection.fetch(_BEHIND, changes, limit, *self._review)
            if not rows:
                return rows
            reviews = readable(rows)
            found = await self._newly_concerned(connection, reviews, now)
            readers = await self._readers(connection, {person for _, _, person in found})
            # In the order in which `address` goes: two that tell the same wait for each other, and in no circle.
            await connection.executemany(
                _TELLING_ANEW,
                [(notice, person, *readers[person].told(kind, now), now) for notice, kind, person in sorted(found)],
            )
            await connection.execute(_CAUGHT_UP, list(reviews), changes)
            return rows

    async def _newly_concerned(
        self, connection: Connection, reviews: Mapping[ReviewId, Review], now: datetime
    ) -> list[tuple[int, Kind, PersonId]]:
        queued: dict[ReviewId, list[Queued]] = {review: [] for review in reviews}
        for row in await connection.fetch(_OF_TURNS, list(queued), sorted(ABOUT_TURNS)):
            queued[row["review_id"]].append(Queued.model_validate({name: row[name] for name in Queued.model_fields}))
        known: dict[int, set[PersonId]] = {}
        ids = [notice.id for notices in queued.values() for notice in notices]
        for row in await connection.fetch(_KNOWN, ids, TOLD_WITHIN):
            known.setdefault(row["notice"], set()).add(row["person"])
        candidates: dict[object, list[asyncpg.Record]] = {}
        found: list[tuple[int, Kind, PersonId]] = []
        for review in reviews.values():
            for told, news in telling(review, queued[review.id], now):
                know = {person for notice in told for person in known.get(notice.id, ())}
                for notice in news:
                    whom = _whom(notice)
                    if whom not in candidates:
                        candidates[whom] = await connection.fetch(_CANDIDATES, *whom, now)
                    new = [person for person in _among(candidates[whom], notice, review) if person not in know]
                    found += [(notice.id, notice.kind, person) for person in new]
                    know.update(new)
            await asyncio.sleep(0)  # others have their turn: this is the worker's loop
        return found

    async def gather(self, limit: int) -> int:
        """Make a mail of everything that waits for a person, for up to `limit` people. Returns how many they were."""
        async with self._database.transaction() as connection:
            people: int = await connection.fetchval(_GATHER, await self._database.now(connection), limit)
            return people

    async def claim(self, limit: int) -> Sequence[MailAttempt]:
        """Claim up to `limit` mails that are due."""
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_CLAIM, await self._database.now(connection), LEASE, limit)
            return [MailAttempt(number=row["attempts"], age=row["age"], mail=row["id"]) for row in rows]

    async def letter(self, mail: UUID) -> Letter | None:
        """What a claimed mail says now; None if there is nothing left to say. Notices that are no longer for its person,
        or no news any more, are left out of it, on record.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow("select * from mails where id = $1 and state = 'waiting' for update", mail)
            if row is None:
                return None
            if row["person"] is None:
                return Letter(id=mail, to=row["address"], subject=row["subject"], text=row["body"])
            reader = (await self._readers(connection, {row["person"]}))[row["person"]]
            items = await self._still_for(connection, mail, reader.id)
            if items and reader.email is not None:
                subject, text = letter(reader.name, items, reader.preferences, self._site)
                return Letter(id=mail, to=reader.email, subject=subject, text=text)
            await connection.execute(_SETTLED, mail, "dropped", "no_address" if items else "past", None)
            return None

    async def sent(self, mail: UUID) -> None:
        """Note that a mail went out."""
        await self._database.pool.execute(_SETTLED, mail, "sent", "sent", None)

    async def unsent(self, mail: UUID, why: str, again_in: timedelta | None) -> None:
        """Note that a mail did not go out, and when it is tried again, if it is."""
        async with self._database.transaction() as connection:
            if again_in is None:
                await connection.execute(_SETTLED, mail, "failed", "failed", why)
            else:
                await connection.execute(_AGAIN, mail, await self._database.now(connection), again_in, why)

    async def preferences(self, person: PersonId) -> Preferences:
        """What a person wants by mail."""
        row = await self._database.pool.fetchrow(
            "select pace, kinds, time_zone, hour from preferences where person = $1", person
        )
        return self.default if row is None else Preferences.model_validate(dict(row))

    async def prefer(self, person: PersonId, preferences: Preferences) -> None:
        """Keep what a person wants by mail. It holds for what waits for them already, too.

        Raises:
            NobodyHereError: nobody is entered under this id.
        """
        given = preferences
        try:
            async with self._database.transaction() as connection:
                kinds = [str(kind) for kind in given.kinds]
                await connection.execute(_PREFER, person, given.pace, kinds, given.time_zone, given.hour)
                now = await self._database.now(connection)
                waiting = await connection.fetch(_WAITING, person)
                retimed = [(row["notice"], person, given.mail_at(Kind(row["kind"]), now)) for row in waiting]
                await connection.executemany(_RETIMED, retimed)
        except asyncpg.ForeignKeyViolationError as error:
            raise NobodyHereError from error

    async def of_person(
        self, person: PersonId, may_read: Callable[[Review], bool], limit: int, before: int
    ) -> tuple[tuple[Told, ...], int | None]:
        """What a person was told, the newest first, of the reviews that they may read, or as operator; and where the next
        page begins.
        """
        async with self._database.pool.acquire() as connection:
            rows = await connection.fetch(_OF_PERSON, person, before, limit)
            reviews = await _reviews(connection, rows)
        told = tuple(
            _told(row)
            for row in rows
            if row["role"] == Role.OPERATOR or (row["review_id"] in reviews and may_read(reviews[row["review_id"]]))
        )
        return told, rows[-1]["id"] if len(rows) == limit else None

    async def of_review(self, review: ReviewId, limit: int, after: int) -> tuple[tuple[Told, ...], int | None]:
        """What was told of a review, to whom, in order; and where the next page begins."""
        rows = await self._database.pool.fetch(_OF_REVIEW, review, after, limit)
        full = len({row["id"] for row in rows}) == limit
        return tuple(map(_told, rows)), rows[-1]["id"] if full else None

    async def _readers(self, connection: Connection, people: Iterable[PersonId]) -> dict[PersonId, _Reader]:
        rows = await connection.fetch(_PEOPLE, sorted(people))
        return {row["id"]: self._reader(row) for row in rows}

    def _reader(self, row: asyncpg.Record) -> _Reader:
        preferences = self.default if row["pace"] is None else Preferences.model_validate(dict(row))
        return _Reader(id=row["id"], name=row["name"], email=row["email"], preferences=preferences)

    async def _still_for(self, connection: Connection, mail: UUID, person: PersonId) -> list[Item]:
        rows = await connection.fetch(_CARRIED, mail)
        reviews = await _reviews(connection, rows)
        now = await self._database.now(connection)
        items: list[Item] = []
        past: list[int] = []
        for row in rows:
            notice, review = _notice(row), reviews.get(row["review_id"]) or Review(id=row["review_id"])
            fresh = row["since"] > now - TOLD_WITHIN
            if fresh and person in await recipients(connection, notice, review, now) and review.subject is not None:
                title = review.subject.title
                items.append(Item(review=review.id, title=title, notice=as_it_stands(notice, review)))
            else:
                past.append(row["id"])
        if past:
            await connection.execute(_LEFT_OUT, mail, past, "past", now)
        return items


@dataclass(frozen=True)
class _Reader:
    id: PersonId
    name: str
    email: str | None
    preferences: Preferences

    def told(self, kind: Kind, now: datetime) -> tuple[datetime | None, str]:
        """When a mail tells them of something of this kind, and what that makes of the notice."""
        mail_at = self.preferences.mail_at(kind, now)
        if mail_at is None:
            return None, "unwanted"
        return (None, "no_address") if self.email is None else (mail_at, "waiting")


async def _reviews(connection: Connection, rows: Iterable[asyncpg.Record]) -> dict[ReviewId, Review]:
    ids = sorted({row["review_id"] for row in rows})
    return readable(await connection.fetch("select id, state from reviews where id = any($1::text[])", ids))


def _notice(row: asyncpg.Record) -> Notice:
    return Notice.model_validate({name: row[name] for name in Notice.model_fields})


def _told(row: asyncpg.Record) -> Told:
    return Told(**{name: row[name] for name in Told.__dataclass_fields__})
