"""The registers that reviews are judged by: people and their roles, training, policy packs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from uuid import uuid4

from domain.canonical import canonical_bytes, sha256
from domain.completions import Completion
from domain.people import Grant, Person, Role
from domain.policy import PolicyPack
from domain.values import Digest, PersonId
from store.database import Database
from store.sessions import end_sessions_of

_PERSON = """
insert into people (id, name, unit) values ($1, $2, $3)
on conflict (id) do update set name = excluded.name, unit = excluded.unit
where (people.name, people.unit) is distinct from (excluded.name, excluded.unit)
"""

_PERSON_IF_NEW = "insert into people (id, name, unit) values ($1, $2, $3) on conflict do nothing"

_GRANT = """
with granted as (
    insert into grants (id, person, role, office)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    on conflict do nothing returning 1
)
select count(*) from granted
"""

_REVOKE = "update grants set revoked_at = clock_timestamp() where id = $1 and revoked_at is null returning id"

_GRANTS = "select id, person, role, office from grants where person = $1 and revoked_at is null order by id"

_DISABLED = "select disabled_at from people where id = $1 for update"

_DISABLE = """
update people set disabled_at = clock_timestamp(), disabled_by = $2, disabled_because = $3
where id = $1 and disabled_at is null returning true
"""

_ENABLE = "update people set disabled_at = null where id = $1 and disabled_at is not null returning true"

_STAGE_COMPLETIONS = """
create temporary table arriving (
    person text, course text, completed_at timestamptz, expires_at timestamptz
) on commit drop
"""

_TAKE_COMPLETIONS = """
insert into completions (person, course, completed_at, expires_at)
select person, course, completed_at, expires_at from arriving
order by person, course, completed_at  -- two imports at once take their locks in one order
on conflict do nothing
"""

_PACK = """
insert into policy_packs (digest, id, version, content) values ($1, $2, $3, $4) on conflict do nothing returning digest
"""

_PACK_BY_ID = "select content from policy_packs where id = $1 order by published_at desc, version desc limit 1"

_PACK_OF_VERSION = "select digest from policy_packs where id = $1 and version = $2"


class NobodyError(Exception):
    """There is nobody with this id."""


class PublishedOtherwiseError(Exception):
    """A pack of this id and version is published with another content; published packs are immutable."""


@lru_cache(maxsize=32)
def published_pack(content: bytes) -> PolicyPack:
    """The policy pack of these published bytes. They never change, so each is read once."""
    return PolicyPack.model_validate_json(content, extra="ignore")


class Registers:
    """The registers, in `database`."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool
        self._database = database

    async def grants(self, person: PersonId) -> tuple[Grant, ...]:
        """The grants in force of a person."""
        rows = await self._pool.fetch(_GRANTS, person)
        return tuple(Grant.model_validate(dict(row)) for row in rows)

    async def enter_people(self, people: Sequence[Person], roles: Sequence[tuple[PersonId, Role, str | None]]) -> int:
        """Enter people and grant roles, all or none. A known person's name and unit become those given here; a role
        that is held already is not granted again.

        Returns:
            How many grants are new.
        """
        columns = zip(
            *((f"grant-{uuid4()}", person, role, office) for person, role, office in sorted(roles, key=str)),
            strict=True,
        )
        async with self._database.transaction() as connection:
            # In one order, so that two imports at once don't wait for each other.
            rows = sorted((person.id, person.name, person.unit) for person in people)
            await connection.executemany(_PERSON, rows)
            new: int = await connection.fetchval(_GRANT, *map(list, columns)) if roles else 0
            return new

    async def revoke(self, grant: str) -> bool:
        """Revoke a grant. Returns whether it was in force."""
        return await self._pool.fetchval(_REVOKE, grant) is not None

    async def disable(self, person: PersonId, by: PersonId, because: str) -> bool:
        """Take everything from a person at once: nothing that they ask for is answered, and their sessions end. Returns
        whether that was new.

        Raises:
            NobodyError: there is nobody with this id.
        """
        async with self._database.transaction() as connection:
            known = await connection.fetchrow(_DISABLED, person)
            if known is None:
                raise NobodyError
            await end_sessions_of(connection, person)
            return bool(await connection.fetchval(_DISABLE, person, by, because))

    async def enable(self, person: PersonId) -> bool:
        """Let a disabled person act again. Returns whether they were disabled."""
        return bool(await self._pool.fetchval(_ENABLE, person))

    async def ensure_operator(self, person: PersonId) -> bool:
        """Grant the operator's role to `person` if nobody holds it. Returns whether that was done."""
        async with self._database.transaction() as connection:
            await connection.execute("lock table grants in share row exclusive mode")  # several may start at once
            if await connection.fetchval("select 1 from grants where role = 'operator' and revoked_at is null"):
                return False
            await connection.execute(_PERSON_IF_NEW, person, person, "operations")
            return bool(await connection.fetchval(_GRANT, [f"grant-{uuid4()}"], [person], [Role.OPERATOR], [None]))

    async def enter_completions(self, completions: Sequence[Completion]) -> int:
        """Put completions on record, all or none; those on record already change nothing.

        Returns:
            How many are new.
        """
        async with self._database.transaction() as connection:
            await connection.execute(_STAGE_COMPLETIONS)
            await connection.copy_records_to_table(
                "arriving",
                records=[(c.person, c.course, c.completed_at, c.expires_at) for c in completions],
                columns=["person", "course", "completed_at", "expires_at"],
            )
            status: str = await connection.execute(_TAKE_COMPLETIONS)
            return int(status.rsplit(" ", 1)[1])

    async def publish(self, pack: PolicyPack) -> Digest:
        """Publish a policy pack. Publishing the same one again changes nothing.

        Raises:
            PublishedOtherwiseError: this id and version stands for another content.
        """
        content = canonical_bytes(pack)
        digest = sha256(content)
        fresh = await self._pool.fetchval(_PACK, digest, pack.id, pack.version, content)
        if fresh is None and await self._pool.fetchval(_PACK_OF_VERSION, pack.id, pack.version) != digest:
            raise PublishedOtherwiseError(
                f"version {pack.version} of {pack.id} is published with another content; a change needs a new version"
            )
        return digest

    async def pack(self, pack_id: str) -> PolicyPack | None:
        """The policy pack that was last published under this id."""
        content = await self._pool.fetchval(_PACK_BY_ID, pack_id)
        return None if content is None else published_pack(content)

    async def pack_of(self, digest: Digest) -> PolicyPack | None:
        """The policy pack with this digest."""
        content = await self._pool.fetchval("select content from policy_packs where digest = $1", digest)
        return None if content is None else published_pack(content)
