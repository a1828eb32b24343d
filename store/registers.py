"""The registers that reviews are judged by: people and their roles, training, policy packs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypeVar
from uuid import uuid4

from domain.calendar import MONDAY_TO_FRIDAY, Calendar
from domain.canonical import canonical_bytes, sha256
from domain.completions import Completion
from domain.dsse import Signer
from domain.facts import Standing
from domain.people import Delegation, Grant, Person, Role
from domain.policy import PolicyPack
from domain.proof import IssuerKey
from domain.registry import (
    BOOTSTRAP,
    MOST_AT_ONCE,
    SIGN_IN,
    UNIT_OF_THE_FIRST_OPERATOR,
    Address,
    AddressesEntered,
    Delegated,
    DelegationEnded,
    Disabled,
    Enabled,
    Granted,
    GrantRevoked,
    IssuerKeySeen,
    Member,
    PackPublished,
    PeopleEntered,
    address_digest,
)
from domain.values import Digest, PersonId
from store.database import Connection, Database
from store.registry import Registrar, packs_on_record
from store.sessions import end_sessions_of
from store.standing import standing_of

_NAMES = """
update people p set name = named.name, email = case when named.known then named.email else p.email end
from unnest($1::text[], $2::text[], $3::boolean[], $4::text[]) as named (id, name, known, email)
where p.id = named.id and (p.name, p.email) is distinct from (
    named.name, case when named.known then named.email else p.email end
)
"""

_OPERATOR = "select exists (select from grants where role = 'operator' and revoked_at is null)"

_SEEN = "select exists (select from issuer_keys where id = $1 and key = $2::jsonb)"

_IMPORT_SECONDS = 600
"""How long an import may take: everybody's rows, in one transaction."""


_DISABLED_BY = "update people set disabled_by = $2, disabled_because = $3 where id = $1"

_STAGE_COMPLETIONS = """
create temporary table arriving (
    person text, course text, completed_at timestamptz, expires_at timestamptz, entered_by text
) on commit drop
"""

_TAKE_COMPLETIONS = """
insert into completions (person, course, completed_at, expires_at, entered_by)
select person, course, completed_at, expires_at, entered_by from arriving
order by person, course, completed_at, entered_by  -- two imports at once take their locks in one order
on conflict do nothing
"""

_PACK = """
insert into policy_packs (digest, id, version, content) values ($1, $2, $3, $4) on conflict do nothing
"""

_PACK_OF_DIGEST = "select content from policy_packs where digest = $1"


T = TypeVar("T")


class PublishedOtherwiseError(Exception):
    """A pack of this id and version is published with another content; published packs are immutable."""


@lru_cache(maxsize=32)
def published_pack(content: bytes) -> PolicyPack:
    """The policy pack of these published bytes. They never change, so each is read once."""
    return PolicyPack.model_validate_json(content, extra="ignore")


class Calendars:
    """The calendars of published packs. They never change, so each is read once."""

    def __init__(self) -> None:
        self._known: dict[Digest, Calendar] = {}

    async def of(self, connection: Connection, pack: Digest) -> Calendar:
        """The calendar of the pack with this digest; Monday to Friday where it has none."""
        calendar = self._known.get(pack)
        if calendar is None:
            content = await connection.fetchval(_PACK_OF_DIGEST, pack)
            if content is None:
                return MONDAY_TO_FRIDAY
            calendar = self._known[pack] = published_pack(content).calendar or MONDAY_TO_FRIDAY
        return calendar


class Published:
    """Which policy packs are published. None is ever withdrawn, so each is looked for until it is."""

    def __init__(self) -> None:
        self._known: frozenset[Digest] = frozenset()

    async def among(self, connection: Connection, packs: Collection[Digest]) -> tuple[Digest, ...]:
        """Those of these packs that are."""
        if not self._known.issuperset(packs):
            self._known = frozenset(await packs_on_record(connection))
        return tuple(pack for pack in packs if pack in self._known)


class Registers:
    """The registers, in `database`; what the registry holds of them is put on record there, signed with `signer`."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self._pool = database.pool
        self._database = database
        self.registry = Registrar(database, signer)

    async def now(self) -> datetime:
        """The present moment, by the clock that reviews are judged by."""
        async with self._pool.acquire() as connection:
            return await self._database.now(connection)

    async def grants(self, person: PersonId) -> tuple[Grant, ...]:
        """The grants in force of a person."""
        standing = await standing_of(self._pool, person)
        return tuple(grant for grant in standing.grants if grant.person == person)

    async def standing(self, person: PersonId) -> Standing:
        """What the registers say of a person, with the grants that they can act under now."""
        async with self._pool.acquire() as connection:
            return (await standing_of(connection, person)).at(person, await self._database.now(connection))

    async def enter_people(
        self, people: Sequence[Person], roles: Sequence[tuple[PersonId, Role, str | None]], *, by: PersonId
    ) -> int:
        """Enter people and grant roles, all or none. A known person's name and unit, and address if one is given or
        taken away, become those given here; a role that is held already is not granted again. `by` is who does it.

        Returns:
            How many grants are new.

        Raises:
            RegistryRefusedError: a rule forbids it.
        """
        members = [Member(person=person.id, unit=person.unit) for person in people]
        addresses = [
            Address(person=person.id, email=None if person.email is None else address_digest(person.email))
            for person in people
            if "email" in person.model_fields_set
        ]
        grants = [Grant(id=f"grant-{uuid4()}", person=p, role=role, office=office, by=by) for p, role, office in roles]
        async with (
            self._database.transaction(seconds=_IMPORT_SECONDS) as connection,
            self.registry.head(connection) as head,
        ):
            entered = (PeopleEntered(at=head.now, by=by, people=batch) for batch in _batches(members))
            written_to = (AddressesEntered(at=head.now, by=by, addresses=batch) for batch in _batches(addresses))
            granted = (Granted(at=head.now, by=by, grants=batch) for batch in _batches(grants))
            put = await head.append(*entered, *written_to, *granted)
            named = {person.id: person for person in people}
            await connection.execute(
                _NAMES,
                list(named),
                [person.name for person in named.values()],
                ["email" in person.model_fields_set for person in named.values()],
                [person.email for person in named.values()],
            )
        return sum(len(event.grants) for event in put if isinstance(event, Granted))

    async def revoke(self, grant: str, because: str, *, by: PersonId) -> None:
        """Revoke a grant.

        Raises:
            NotThereError: it is not in force.
            RegistryRefusedError: nobody would be an operator any more.
        """
        async with self.registry.head() as head:
            await head.append(GrantRevoked(at=head.now, by=by, grant=grant, because=because))

    async def disable(self, person: PersonId, by: PersonId, because: str) -> None:
        """Take everything from a person at once: nothing that they ask for is answered, and their sessions end.

        Raises:
            NotThereError: there is nobody with this id.
            RegistryRefusedError: they are disabled already, or would disable themselves.
        """
        async with self._database.transaction() as connection, self.registry.head(connection) as head:
            await head.append(Disabled(at=head.now, by=by, person=person, because=because))
            await connection.execute(_DISABLED_BY, person, by, because)
            await end_sessions_of(connection, person)

    async def enable(self, person: PersonId, by: PersonId, because: str) -> None:
        """Let a disabled person act again.

        Raises:
            RegistryRefusedError: they are not disabled, or would enable themselves.
        """
        async with self.registry.head() as head:
            await head.append(Enabled(at=head.now, by=by, person=person, because=because))

    async def delegate(
        self,
        giver: PersonId,
        taker: PersonId,
        roles: Collection[Role],
        window: tuple[datetime | None, datetime],
        *,
        by: PersonId,
    ) -> Delegation:
        """Have `taker` act for `giver` in these roles for a time: from the first moment of the window, or now, to the
        last.

        Raises:
            RegistryRefusedError: a rule forbids it.
        """
        starts_at, ends_at = window
        async with self.registry.head() as head:
            delegation = Delegation(
                id=f"delegation-{uuid4()}",
                giver=giver,
                taker=taker,
                roles=tuple(sorted(set(roles))),
                starts_at=starts_at or head.now,
                ends_at=ends_at,
                by=by,
            )
            await head.append(Delegated(at=head.now, by=by, delegation=delegation))
            return delegation

    async def end_delegation(self, delegation: str, *, by: PersonId) -> None:
        """End a delegation before its time.

        Raises:
            NotThereError: it is not in force, or not theirs to end.
        """
        async with self.registry.head() as head:
            await head.append(DelegationEnded(at=head.now, by=by, delegation=delegation))

    async def delegations(self, person: PersonId) -> tuple[Delegation, ...]:
        """The delegations that a person gave or took, and that were not ended and have not run out."""
        async with self._pool.acquire() as connection:
            now = await self._database.now(connection)
            standing = await standing_of(connection, person)
        return tuple(each for each in standing.delegations if now < each.ends_at)

    async def ensure_operator(self, person: PersonId) -> bool:
        """Grant the operator's role to `person` if nobody holds it. Returns whether that was done."""
        async with self._database.transaction() as connection, self.registry.head(connection) as head:
            if await connection.fetchval(_OPERATOR):
                return False
            known = (await standing_of(connection, person)).units.get(person)
            member = Member(person=person, unit=known or UNIT_OF_THE_FIRST_OPERATOR)
            grant = Grant(id=f"grant-{uuid4()}", person=person, role=Role.OPERATOR, by=BOOTSTRAP)
            await head.append(
                PeopleEntered(at=head.now, by=BOOTSTRAP, people=(member,)),
                Granted(at=head.now, by=BOOTSTRAP, grants=(grant,)),
            )
            return True

    async def see_issuer_key(self, key: IssuerKey) -> None:
        """Put on record that the identity provider publishes this key; once."""
        if await self._pool.fetchval(_SEEN, key.id, key.model_dump_json()):
            return
        async with self.registry.head() as head:
            await head.append(IssuerKeySeen(at=head.now, by=SIGN_IN, key=key))

    async def enter_completions(self, completions: Sequence[Completion]) -> int:
        """Put completions on record, all or none; those that the same person entered already change nothing.

        Returns:
            How many are new.
        """
        async with self._database.transaction(seconds=_IMPORT_SECONDS) as connection:
            await connection.execute(_STAGE_COMPLETIONS)
            await connection.copy_records_to_table(
                "arriving",
                records=[(c.person, c.course, c.completed_at, c.expires_at, c.by or "") for c in completions],
                columns=["person", "course", "completed_at", "expires_at", "entered_by"],
            )
            status: str = await connection.execute(_TAKE_COMPLETIONS)
            return int(status.rsplit(" ", 1)[1])

    async def publish(self, pack: PolicyPack, *, by: PersonId = BOOTSTRAP) -> Digest:
        """Publish a policy pack, in the name of who sets the system up or of an operator. Publishing the same one again
        changes nothing.

        Raises:
            PublishedOtherwiseError: this id and version stands for another content.
            RegistryRefusedError: it is not for `by` to publish.
            KeyNotInForceError: nothing that this process signs counts.
        """
        content = canonical_bytes(pack)
        digest = sha256(content)
        if digest in await packs_on_record(self._pool) and await self.pack_of(digest) is not None:
            return digest
        async with self._database.transaction() as connection, self.registry.head(connection) as head:
            await connection.execute(_PACK, digest, pack.id, pack.version, content)
            if await connection.fetchval(_PACK_OF_DIGEST, digest) != content:
                raise PublishedOtherwiseError(
                    f"version {pack.version} of {pack.id} is published with another content; a change needs a new version"
                )
            published = PackPublished(at=head.now, by=by, pack=pack.id, version=pack.version, digest=digest)
            await head.append(published)
        return digest

    async def pack(self, pack_id: str) -> PolicyPack | None:
        """The policy pack that was last published under this id."""
        published = await packs_on_record(self._pool)
        last = next((pack.digest for pack in reversed(tuple(published.values())) if pack.pack == pack_id), None)
        return None if last is None else await self.pack_of(last)

    async def pack_of(self, digest: Digest) -> PolicyPack | None:
        """The policy pack with this digest."""
        content = await self._pool.fetchval(_PACK_OF_DIGEST, digest)
        return None if content is None or sha256(content) != digest else published_pack(content)


def _batches(all_of_them: Sequence[T]) -> Iterator[tuple[T, ...]]:
    for start in range(0, len(all_of_them), MOST_AT_ONCE):
        yield tuple(all_of_them[start : start + MOST_AT_ONCE])
