"""Whether the registry's record holds, and the tables say what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping

import asyncpg

from domain.canonical import canonical_bytes
from domain.proof import IssuerKey
from domain.registry import Registry, RegistryAudit
from store.database import Connection, Database
from store.registry import entries_after

_PAGE = 20

_HEAD = "select seq, hash from registry"

_TABLES = {
    "key": "select id, public, added_at, revoked_at, pending from signing_keys",
    "identity provider's key": "select id, key from issuer_keys",
    "person": "select id, unit, email_digest, email_by, disabled_at is not null as disabled from people",
    "grant": "select id, person, role, office, granted_by as by from grants where revoked_at is null",
    "delegation": """
        select id, giver, taker, roles, starts_at, ends_at, given_by as by from delegations where ended_at is null
    """,
    "invitation": """
        select id, person, reviews, expires_at,
            case when revoked_at is not null then 'revoked' when used_at is not null then 'used' else 'open' end as status
        from invitations
    """,
    "policy pack": "select digest as id, id as pack, version from policy_packs where digest = encode(sha256(content), 'hex')",
}

_Said = Mapping[str, Mapping[str, Hashable]]
"""Of each kind of thing, by its id, what is said of it."""


class RegistryCheck:
    """Reads the record as an auditor does, and compares it with the tables.

    What was found to hold is not read again: the application's role can add to the record, and change nothing of it. To
    check all of it is the auditor's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._audit = RegistryAudit()
        self._turn = asyncio.Lock()

    async def first_difference(self) -> str | None:
        """The first thing that is wrong, in a sentence; None if nothing is."""
        async with (
            self._turn,
            self._database.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await self._read(connection) or await self._compare(connection)

    @property
    def entries(self) -> int:
        """How many entries hold."""
        return self._audit.registry.seq

    async def _read(self, connection: Connection) -> str | None:
        while page := await entries_after(connection, self._audit.registry.seq, _PAGE):
            for entry in page:
                problem = self._audit.check(entry)
                if problem is not None:
                    return f"{problem[0].upper()}{problem[1:]}."
                await asyncio.sleep(0)  # others have their turn: an entry can be of hundreds of people
        return None

    async def _compare(self, connection: Connection) -> str | None:
        head = await connection.fetchrow(_HEAD)
        assert head is not None
        if (head["seq"], head["hash"]) != (self.entries, self._audit.head):
            return (
                f"The registry's record ends with entry {self.entries}; its head says {head['seq']}, or another hash."
            )
        rows = {kind: await connection.fetch(statement) for kind, statement in _TABLES.items()}
        return await asyncio.to_thread(_difference, _on_record(self._audit.registry), _in_tables(rows))


def _difference(on_record: _Said, in_tables: _Said) -> str | None:
    for kind, said in on_record.items():
        there = in_tables[kind]
        for name in (*said, *there):
            if name not in there:
                return f"The {kind} {name} is on the registry's record, and not so in the tables."
            # A pack that nobody published is nothing but a row.
            if name not in said and kind != "policy pack":
                return f"The {kind} {name} is in the tables, and not on the registry's record."
            if name in said and said[name] != there[name]:
                return f"Of the {kind} {name} the tables say something else than the registry's record."
    return None


def _on_record(registry: Registry) -> _Said:
    nowhere = (None, None)
    return {
        "key": {name: (k.public, k.added_at, k.revoked_at, k.pending) for name, k in registry.keys.items()},
        "identity provider's key": {name: canonical_bytes(key) for name, key in registry.issuer_keys.items()},
        "person": {
            person: (unit, *registry.addresses.get(person, nowhere), person in registry.disabled)
            for person, unit in registry.units.items()
        },
        "grant": {g.id: (g.person, g.role.value, g.office, g.by) for g in registry.grants.values()},
        "delegation": {
            d.id: (d.giver, d.taker, tuple(role.value for role in d.roles), d.starts_at, d.ends_at, d.by)
            for d in registry.delegations.values()
        },
        "invitation": {name: (i.person, i.reviews, i.expires_at, i.status) for name, i in registry.invitations.items()},
        "policy pack": {digest: (pack.pack, pack.version) for digest, pack in registry.packs.items()},
    }


def _in_tables(rows: Mapping[str, list[asyncpg.Record]]) -> _Said:
    return {kind: {row["id"]: _said(kind, row) for row in found} for kind, found in rows.items()}


def _said(kind: str, row: asyncpg.Record) -> Hashable:
    if kind == "identity provider's key":
        return _normal(row["key"])
    values = (value for name, value in row.items() if name != "id")
    if kind == "person" and row["email_digest"] is None:
        return (row["unit"], None, None, row["disabled"])
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def _normal(key: str) -> bytes:
    try:
        return canonical_bytes(IssuerKey.model_validate_json(key))
    except ValueError:
        return key.encode()
