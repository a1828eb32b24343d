"""The registry's ledger, and the tables that are its read model.

Whoever changes people, roles, keys, delegations or invitations appends here: one transaction locks the head, asks the
rules, signs and chains the entries, and brings the tables up to date.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import asyncpg
from pydantic import TypeAdapter, ValidationError

from domain.canonical import sha256
from domain.dsse import REGISTRY, KeyId, PublicKey, Signature, Signer, key_id
from domain.facts import SigningKey
from domain.people import Delegation, Grant
from domain.proof import IssuerKey, Proof
from domain.registry import (
    BOOTSTRAP,
    AddressesEntered,
    Delegated,
    DelegationEnded,
    Disabled,
    Enabled,
    Granted,
    GrantRevoked,
    InvitationRevoked,
    InvitationState,
    InvitationUsed,
    Invited,
    IssuerKeySeen,
    KeyAdded,
    KeyRevoked,
    NotThere,
    PackPublished,
    PeopleEntered,
    RecordedEntry,
    Registry,
    RegistryEvent,
    entry_bytes,
    held,
    keys_and_packs,
    refuse,
)
from domain.values import Digest, PersonId
from store.database import Connection, Database, Pool

_LOCK = "select seq, hash, at from registry for no key update"

_KEYS = "select id, public, added_at, revoked_at, pending from signing_keys"

_ISSUER_KEYS = "select key from issuer_keys where id = any($1)"

_PEOPLE = """
select id, unit, email_digest, email_by, disabled_at is not null as disabled from people where id = any($1)
"""

_GRANTS = """
select id, person, role, office, granted_by as by, revoked_at is null as in_force from grants
where id = any($1) or (revoked_at is null and (person = any($2) or role = 'operator'))
"""

_DELEGATIONS = """
select id, giver, taker, roles, starts_at, ends_at, given_by as by from delegations
where ended_at is null and (id = any($1) or giver = any($2) or taker = any($2))
"""

_INVITATIONS = """
select id, person, reviews, expires_at,
    case when revoked_at is not null then 'revoked' when used_at is not null then 'used' else 'open' end as status
from invitations where id = any($1)
"""

_APPEND = """
with entries as (
    insert into registry_ledger (seq, data, hash, signatures)
    select * from unnest($1::integer[], $2::bytea[], $3::text[], $4::bytea[])
)
update registry set seq = $5, hash = $6, at = $7
"""

_ADD_KEY = "insert into signing_keys (id, public, added_at) values ($1, $2, $3)"

_REVOKE_KEY = "update signing_keys set revoked_at = $2, pending = $3 where id = $1"

_ALONE = "lock table decisions in access exclusive mode"

_PENDING = "select envelope, proof from decisions where status = 'pending' order by received_at, id"

_SEE_ISSUER_KEY = "insert into issuer_keys (id, key) values ($1, $2) on conflict (id) do update set key = excluded.key"

_ENTER = """
insert into people (id, name, unit) select id, id, unit from unnest($1::text[], $2::text[]) as entered (id, unit)
on conflict (id) do update set unit = excluded.unit
"""

_WRITE_TO = """
update people p set email_digest = said.email, email_by = $3 from unnest($1::text[], $2::text[]) as said (id, email)
where p.id = said.id
"""

_GRANT = """
insert into grants (id, person, role, office, granted_by, granted_at)
select id, person, role, office, $5, $6 from unnest($1::text[], $2::text[], $3::text[], $4::text[])
    as granted (id, person, role, office)
"""

_REVOKE = "update grants set revoked_at = $2 where id = $1"

_DISABLE = "update people set disabled_at = $2 where id = $1"

_DELEGATE = """
insert into delegations (id, giver, taker, roles, starts_at, ends_at, given_by) values ($1, $2, $3, $4, $5, $6, $7)
"""

_END_DELEGATION = "update delegations set ended_at = $2 where id = $1"

# In the words of the partial indexes.
_OF_KEYS = """
select seq, data, hash, signatures from registry_ledger where position('"type":"key_'::bytea in data) > 0 order by seq
"""

_OF_KEYS_AND_PACKS = """
select seq, data, hash, signatures from registry_ledger
where position('"type":"key_'::bytea in data) > 0 or position('"type":"pack_'::bytea in data) > 0 order by seq
"""

_ENTRIES = "select seq, data, hash, signatures from registry_ledger where seq > $1 order by seq limit $2"

_signatures: TypeAdapter[tuple[Signature, ...]] = TypeAdapter(tuple[Signature, ...])


class RegistryRefusedError(Exception):
    """A rule forbids the change; the message is the sentence that says so."""


class NotThereError(RegistryRefusedError):
    """What should be changed is not there, or not any more."""


class KeyNotInForceError(Exception):
    """The key that this process signs with is not in force; the message says what to do."""

    def __init__(self, key: KeyId) -> None:
        super().__init__(
            f"The key {key} that this process signs with is not in force: an operator registers it with "
            "`ringi keys add`, or the process is given one that is."
        )


class InTheWayError(Exception):
    """What somebody else wrote stands on the registry's record where its next entry belongs; the message says so."""

    def __init__(self, seq: int) -> None:
        super().__init__(
            f"Nothing can be put on the registry's record: a row that is none of its entries stands in the place of entry {seq}. "
            "Whoever owns the database has to take it away."
        )


class RegistryHead:
    """The head of the registry, locked. `now` is what entries are dated: never before the entry before."""

    def __init__(self, connection: Connection, signer: Signer, row: asyncpg.Record, now: datetime) -> None:
        self._connection = connection
        self._signer = signer
        self._seq: int = row["seq"]
        self._hash: Digest = row["hash"]
        self.now = max(now, row["at"])

    @property
    def empty(self) -> bool:
        """Whether nothing is on record yet."""
        return self._seq == 0

    async def append(self, *events: RegistryEvent) -> tuple[RegistryEvent, ...]:
        """Put these on record, in order, and bring the tables up to date. What changes nothing is left out.

        Returns:
            What is on record now that was not.

        Raises:
            NotThereError: one of them is about something that is not there; none is on record.
            RegistryRefusedError: a rule forbids one of them; none is on record.
            KeyNotInForceError: nothing that this process signs counts.
            InTheWayError: what is none of its entries stands in their place.
        """
        registry = await self._part(events)
        entries: list[RecordedEntry] = []
        news: list[RegistryEvent] = []
        for event in events:
            new = _news(registry, event)
            if new is None:
                continue
            said = refuse(registry, new)
            if said is not None:
                raise NotThereError(said) if isinstance(said, NotThere) else RegistryRefusedError(said)
            self._must_count(registry, new)
            registry.apply(new)
            data, digest = entry_bytes(self._seq + 1, self._hash, new)
            signed = (await self._signer.sign(REGISTRY, data),)
            entries.append(RecordedEntry(seq=self._seq + 1, data=data.decode(), hash=digest, signatures=signed))
            news.append(new)
            self._seq, self._hash = self._seq + 1, digest
        if entries:
            await self._write(entries)
            for new in news:
                await self._bring_up_to_date(new)
        return tuple(news)

    def _must_count(self, registry: Registry, event: RegistryEvent) -> None:
        key = registry.keys.get(key_id(self._signer.public))
        founds = self.empty and isinstance(event, KeyAdded) and event.public == self._signer.public
        if not founds and (key is None or not key.in_force(event.at)):
            raise KeyNotInForceError(key_id(self._signer.public))

    async def _part(self, events: Sequence[RegistryEvent]) -> Registry:
        """The registry as it stands, as far as these events speak of it."""
        registry = Registry()
        for row in await self._connection.fetch(_KEYS):
            registry.keys[row["id"]] = SigningKey.model_validate(dict(row))
        seen = [event.key.id for event in events if isinstance(event, IssuerKeySeen)]
        if seen:
            for row in await self._connection.fetch(_ISSUER_KEYS, seen):
                key = IssuerKey.model_validate_json(row["key"])
                registry.issuer_keys[key.id] = key
        ended = [event.delegation for event in events if isinstance(event, DelegationEnded)]
        parties = [party for event in events for party in _absent(event)]
        if ended or parties:
            for row in await self._connection.fetch(_DELEGATIONS, ended, parties):
                registry.delegations[row["id"]] = Delegation.model_validate(dict(row))
        givers = [delegation.giver for delegation in registry.delegations.values()]
        grants = [grant for event in events for grant in _grants(event)]
        holders = [*givers, *(person for event in events for person in _holders(event))]
        for row in await self._connection.fetch(_GRANTS, grants, holders):
            registry.grant(Grant.model_validate(dict(row)))
            if not row["in_force"]:
                registry.revoke(row["id"])
        operators = registry.operators.values()
        people = {*givers, *operators, *(event.by for event in events), *(p for e in events for p in _people(e))}
        for row in await self._connection.fetch(_PEOPLE, list(people)):
            registry.units[row["id"]] = row["unit"]
            if row["email_digest"] is not None:
                registry.addresses[row["id"]] = row["email_digest"], row["email_by"]
            if row["disabled"]:
                registry.disabled.add(row["id"])
        if any(isinstance(event, PackPublished) for event in events):
            registry.packs.update(await packs_on_record(self._connection))
        invited = [e.invitation for e in events if isinstance(e, Invited | InvitationUsed | InvitationRevoked)]
        if invited:
            for row in await self._connection.fetch(_INVITATIONS, invited):
                registry.invitations[row["id"]] = InvitationState.model_validate(dict(row))
        return registry

    async def _write(self, entries: Sequence[RecordedEntry]) -> None:
        try:
            await self._connection.execute(
                _APPEND,
                [entry.seq for entry in entries],
                [entry.data.encode() for entry in entries],
                [entry.hash for entry in entries],
                [_signatures.dump_json(entry.signatures) for entry in entries],
                self._seq,
                self._hash,
                self.now,
            )
        except asyncpg.UniqueViolationError as error:
            raise InTheWayError(entries[0].seq) from error

    async def _bring_up_to_date(self, event: RegistryEvent) -> None:
        run = self._connection.execute
        match event:
            case KeyAdded():
                await run(_ADD_KEY, event.key, event.public, event.at)
            case KeyRevoked():
                await run(_REVOKE_KEY, event.key, event.at, list(event.pending))
            case IssuerKeySeen(key=key):
                await run(_SEE_ISSUER_KEY, key.id, key.model_dump_json())
            case PeopleEntered(people=people):
                await run(_ENTER, [member.person for member in people], [member.unit for member in people])
            case AddressesEntered(addresses=addresses):
                await run(_WRITE_TO, *map(list, zip(*((a.person, a.email) for a in addresses), strict=True)), event.by)
            case Granted(grants=grants):
                columns = zip(*((grant.id, grant.person, grant.role, grant.office) for grant in grants), strict=True)
                await run(_GRANT, *map(list, columns), event.by, event.at)
            case GrantRevoked():
                await run(_REVOKE, event.grant, event.at)
            case Disabled():
                await run(_DISABLE, event.person, event.at)
            case Enabled():
                await run(_DISABLE, event.person, None)
            case Delegated(delegation=d):
                await run(_DELEGATE, d.id, d.giver, d.taker, list(d.roles), d.starts_at, d.ends_at, d.by)
            case DelegationEnded():
                await run(_END_DELEGATION, event.delegation, event.at)
            case Invited() | InvitationUsed() | InvitationRevoked() | PackPublished():
                pass  # whoever invites, or publishes, keeps more of it than the registry, and keeps it themselves


class Registrar:
    """Keeps the registry, in `database`; signs what it puts on record with `signer`."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self._database = database
        self._signer = signer

    @asynccontextmanager
    async def head(self, connection: Connection | None = None) -> AsyncIterator[RegistryHead]:
        """The head, locked until the transaction ends: that of `connection`, or one for the length of the block."""
        if connection is not None:
            yield await self._locked(connection)
            return
        async with self._database.transaction() as own:
            yield await self._locked(own)

    async def enrol(self) -> bool:
        """Make sure that what this process signs counts: its key must be in force, or there is no key yet and it becomes
        the first one.

        Returns:
            Whether it became the first one.

        Raises:
            KeyNotInForceError: it is not registered, or it was revoked.
        """
        async with self.head() as head:
            if head.empty:  # several may start at once; whoever has the head is the first
                key = key_id(self._signer.public)
                await head.append(KeyAdded(at=head.now, by=BOOTSTRAP, key=key, public=self._signer.public))
                return True
        await self.must_be_in_force()
        return False

    async def in_force(self) -> bool:
        """Whether what this process signs counts now."""
        in_force: bool = await self._database.pool.fetchval(
            "select exists (select from signing_keys where id = $1 and revoked_at is null)", key_id(self._signer.public)
        )
        return in_force

    async def must_be_in_force(self) -> None:
        """Raises KeyNotInForceError if what this process signs does not count now."""
        if not await self.in_force():
            raise KeyNotInForceError(key_id(self._signer.public))

    async def keys(self) -> dict[KeyId, SigningKey]:
        """Every key that was ever registered, by its id, the oldest first."""
        rows = await self._database.pool.fetch(f"{_KEYS} order by added_at, id")
        return {row["id"]: SigningKey.model_validate(dict(row)) for row in rows}

    async def add_key(self, public: PublicKey, *, by: PersonId) -> None:
        """Have what this key signs count from now on. Adding it again changes nothing.

        Raises:
            RegistryRefusedError: it was revoked.
        """
        async with self.head() as head:
            await head.append(KeyAdded(at=head.now, by=by, key=key_id(public), public=public))

    async def revoke_key(self, key: KeyId, because: str, *, by: PersonId) -> None:
        """Have what this key signs count no more; what it signed before stays valid.

        Raises:
            NotThereError: it is not in force.
            RegistryRefusedError: no other one is.
        """
        async with self._database.transaction() as connection, self.head(connection) as head:
            # Whoever stores a decision has looked into this table before they looked at the keys: after this, what was
            # stored with the key can be seen, and nothing more is.
            await connection.execute(_ALONE)
            rows = await connection.fetch(_PENDING)
            signed = [row for row in rows if any(s.keyid == key for s in Proof.read(row["proof"]).signatures)]
            pending = tuple(sha256(row["envelope"]) for row in signed)
            await head.append(KeyRevoked(at=head.now, by=by, key=key, because=because, pending=pending))

    async def entries(self, after: int = 0, limit: int | None = None) -> tuple[RecordedEntry, ...]:
        """The entries after `after`, as stored."""
        return await entries_after(self._database.pool, after, limit)

    async def _locked(self, connection: Connection) -> RegistryHead:
        row = await connection.fetchrow(_LOCK)
        assert row is not None
        return RegistryHead(connection, self._signer, row, await self._database.now(connection))


async def entries_after(connection: Connection | Pool, after: int, limit: int | None) -> tuple[RecordedEntry, ...]:
    """The registry's entries after `after`, at most `limit`, as stored."""
    return tuple(map(_recorded, await connection.fetch(_ENTRIES, after, limit)))


async def keys_in_force(connection: Connection | Pool) -> frozenset[PublicKey]:
    """The keys whose signature counts now, by the registry's ledger itself: whoever can only write rows can put a key
    into the table of keys, and none on that record.
    """
    known = keys_and_packs(tuple(map(_recorded, await connection.fetch(_OF_KEYS))))
    return frozenset(key.public for key in known.keys.values() if key.revoked_at is None)


async def packs_on_record(connection: Connection | Pool) -> Mapping[Digest, PackPublished]:
    """The published policy packs, the last one last, by the registry's ledger itself: a row in the table of packs can be
    written by anybody with the application's role.
    """
    return keys_and_packs(tuple(map(_recorded, await connection.fetch(_OF_KEYS_AND_PACKS)))).packs


def _recorded(row: asyncpg.Record) -> RecordedEntry:
    """An entry as it is stored. What is no text, no hash or no signature is shown as far as it can be: to say what is
    wrong with it is the auditor's.
    """
    try:
        signatures = _signatures.validate_json(row["signatures"])
    except ValidationError:
        signatures = ()
    data = row["data"].decode(errors="backslashreplace")
    return RecordedEntry(seq=row["seq"], data=data, hash=row["hash"], signatures=signatures)


def _news(registry: Registry, event: RegistryEvent) -> RegistryEvent | None:
    """What of the event the registry does not say yet."""
    match event:
        case PeopleEntered(people=people):
            last = {member.person: member for member in people}
            new = tuple(member for member in last.values() if registry.units.get(member.person) != member.unit)
            return event.model_copy(update={"people": new}) if new else None
        case AddressesEntered(addresses=addresses):
            said = {address.person: address for address in addresses}
            others = tuple(a for a in said.values() if registry.addresses.get(a.person, (None, None))[0] != a.email)
            return event.model_copy(update={"addresses": others}) if others else None
        case Granted(grants=grants):
            first = {held(grant): grant for grant in reversed(grants)}
            lacking = tuple(grant for what, grant in reversed(first.items()) if what not in registry.held)
            return event.model_copy(update={"grants": lacking}) if lacking else None
        case KeyAdded(key=added) if added in registry.keys and registry.keys[added].revoked_at is None:
            return None
        case IssuerKeySeen(key=key):
            return None if registry.issuer_keys.get(key.id) == key else event
        case PackPublished(digest=digest) if digest in registry.packs:
            return None
        case _:
            return event


def _people(event: RegistryEvent) -> Iterable[PersonId]:
    match event:
        case PeopleEntered(people=people):
            return (member.person for member in people)
        case AddressesEntered(addresses=addresses):
            return (address.person for address in addresses)
        case Granted(grants=grants):
            return (grant.person for grant in grants)
        case Disabled(person=person) | Enabled(person=person) | Invited(person=person):
            return (person,)
        case Delegated(delegation=delegation):
            return (delegation.giver, delegation.taker)
        case _:
            return ()


def _grants(event: RegistryEvent) -> Iterable[str]:
    match event:
        case Granted(grants=grants):
            return (grant.id for grant in grants)
        case GrantRevoked(grant=grant):
            return (grant,)
        case _:
            return ()


def _holders(event: RegistryEvent) -> Iterable[PersonId]:
    match event:
        case Granted(grants=grants):
            return (grant.person for grant in grants)
        case Invited(person=person, by=by):
            return (person, by)
        case InvitationRevoked(by=by):
            return (by,)
        case _:
            return ()


def _absent(event: RegistryEvent) -> Iterable[PersonId]:
    """Whose delegations a rule about it asks for: given or taken."""
    match event:
        case Delegated(delegation=delegation):
            return (delegation.giver, delegation.taker)
        case Invited(by=by) | InvitationRevoked(by=by):
            return (by,)
        case _:
            return ()
