"""What the registers say of a person, and of the keys that a decision names: read in one statement, as of one moment.

One statement sees one state of the database. So the number of the registry's entry that comes with it is that of the
very entry after which all the rest was so, and whoever has the registry can check it.
"""

from __future__ import annotations

from collections.abc import Collection

from domain.facts import Facts, Standing
from domain.values import Digest, PersonId
from store.database import Connection, Pool

_GRANT = "jsonb_build_object('id', g.id, 'person', g.person, 'role', g.role, 'office', g.office, 'by', g.granted_by)"

_LOOK = f"""
select jsonb_build_object(
    'standing', jsonb_build_object(
        'registry', r.seq,
        'unit', p.unit,
        'disabled', p.disabled_at is not null,
        'grants', coalesce((
            select jsonb_agg({_GRANT} order by g.id) from grants g
            where g.revoked_at is null and (g.person = $1 or g.person in (
                select giver from delegations where taker = $1 and ended_at is null
            ))
        ), '[]'),
        'delegations', coalesce((
            select jsonb_agg(to_jsonb(d) order by d.id) from delegations d
            where d.ended_at is null and (d.giver = $1 or d.taker = $1)
        ), '[]')
    ),
    'keys', coalesce((select jsonb_agg(to_jsonb(k) order by k.id) from signing_keys k where k.id = any($2)), '[]'),
    'issuer_keys', coalesce((select jsonb_agg(i.key) from issuer_keys i where i.id = $3), '[]'),
    'council', case when $4 then coalesce((
        select jsonb_agg({_GRANT} order by g.id) from grants g where g.revoked_at is null and g.role = 'council_member'
    ), '[]') else '[]' end
)
from registry r left join people p on p.id = $1
"""  # noqa: S608 - put together of constants


async def look(
    connection: Connection | Pool,
    person: PersonId | None,
    *,
    keys: Collection[str] = (),
    issuer_key: Digest | None = None,
    council: bool = False,
) -> Facts:
    """What the registers say: of `person`, of these keys, and, if asked for, of the Council's members."""
    if person is None and not council:
        return Facts()
    return Facts.model_validate_json(await connection.fetchval(_LOOK, person, keys, issuer_key, council))


async def standing_of(connection: Connection | Pool, person: PersonId) -> Standing:
    """What the registers say of `person`."""
    return (await look(connection, person)).standing
