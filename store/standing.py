"""What the registers say of a person, and of the keys that a decision names: read in one statement, as of one moment.

One statement sees one state of the database. So the number of the registry's entry that comes with it is that of the
very entry after which all the rest was so, and whoever has the registry can check it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from domain.facts import Facts, Standing
from domain.route import Route
from domain.state import Review, Subject
from domain.values import Digest, PersonId
from store.database import Connection, Pool

_GRANT = "jsonb_build_object('id', g.id, 'person', g.person, 'role', g.role, 'office', g.office, 'by', g.granted_by)"

_LOOK = f"""
with givers as (
    select distinct m.id from delegations d join people m on m.id = d.giver and m.disabled_at is null
    where d.taker = $1 and d.ended_at is null
)
select jsonb_build_object(
    'standing', jsonb_build_object(
        'registry', r.seq,
        'units', coalesce((
            select jsonb_object_agg(m.id, m.unit) from people m where m.id = $1 or m.id in (select id from givers)
        ), '{{}}'),
        'disabled', p.disabled_at is not null,
        'grants', coalesce((
            select jsonb_agg({_GRANT} order by g.id) from grants g
            where g.revoked_at is null and (g.person = $1 or g.person in (select id from givers))
        ), '[]'),
        'delegations', coalesce((
            select jsonb_agg(to_jsonb(d) || jsonb_build_object('by', d.given_by) order by d.id) from delegations d
            where d.ended_at is null and (d.giver = $1 or d.taker = $1)
        ), '[]')
    ),
    'keys', coalesce((select jsonb_agg(to_jsonb(k) order by k.id) from signing_keys k where k.id = any($2)), '[]'),
    'issuer_keys', coalesce((select jsonb_agg(i.key) from issuer_keys i where i.id = $3), '[]'),
    'holders', case when $4::text[] is null then '[]' else coalesce((
        select jsonb_agg(jsonb_build_object(
            'grant', jsonb_build_object(
                'id', a.id, 'person', a.holder, 'role', a.role, 'office', a.office, 'by', a.granted_by
            ),
            'unit', a.holder_unit,
            'delegate', nullif(a.person, a.holder),
            'delegate_unit', case when a.person <> a.holder then a.unit end,
            'lent_by', a.lent_by
        ) order by a.id)
        from acting($6) a
        where a.role in ('reviewer', 'council_member', 'training_officer')
            or (a.role in ('officer', 'signatory') and a.office = any($4))
            or (a.role = 'owner' and a.holder = any($5))
    ), '[]') end,
    'units', coalesce((select jsonb_object_agg(m.id, m.unit) from people m where m.id = any($7)), '{{}}')
)
from registry r left join people p on p.id = $1
"""  # noqa: S608 - put together of constants


_CHANGES = """
select r.seq + (select count(*) from delegations where starts_at <= $1)
    + (select count(*) from delegations where ends_at <= $1)
from registry r
"""


@dataclass(frozen=True)
class Named:
    """Whose roles a review may need at the moment `at`: the holders of the offices that its route names, and those who
    stand for the proposal, beside all reviewers, members of the Council and training officers.
    """

    offices: tuple[str, ...]
    proposers: tuple[PersonId, ...]
    at: datetime

    @classmethod
    def by(cls, route: Route, subject: Subject, at: datetime) -> Self:
        """Those whom this route names."""
        return cls((*route.officers, *route.signing), subject.proposers, at)

    @classmethod
    def of(cls, reviews: Iterable[Review], at: datetime) -> Self:
        """Those whom the routes of any of these reviews name."""
        each = [cls.by(r.route, r.subject, at) for r in reviews if r.route is not None and r.subject is not None]
        offices = dict.fromkeys(office for named in each for office in named.offices)
        return cls(tuple(offices), tuple(dict.fromkeys(p for named in each for p in named.proposers)), at)


async def changes_of_roles(connection: Connection | Pool, at: datetime) -> int:
    """A number that grows with whatever changes who may act: an entry of the registry,
    or a delegation that begins or ends.
    """
    number: int = await connection.fetchval(_CHANGES, at)
    return number


async def look(
    connection: Connection | Pool,
    person: PersonId | None,
    *,
    keys: Collection[str] = (),
    issuer_key: Digest | None = None,
    named: Named | None = None,
    members: Collection[PersonId] = (),
) -> Facts:
    """What the registers say: of `person`, of these keys, of who holds the roles that are `named`, and of the units of
    these `members`.
    """
    holders = (None, None, None) if named is None else (named.offices, named.proposers, named.at)
    return Facts.model_validate_json(
        await connection.fetchval(_LOOK, person, list(keys), issuer_key, *holders, list(members))
    )


async def standing_of(connection: Connection | Pool, person: PersonId) -> Standing:
    """What the registers say of `person`."""
    return (await look(connection, person)).standing
