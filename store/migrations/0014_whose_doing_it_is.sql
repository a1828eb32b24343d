-- migrate:up
set local lock_timeout = '4s';

-- What the registry says of where somebody is written to, and of who saw to it that somebody acts for another.
alter table people add column email_digest text, add column email_by text;
alter table delegations add column given_by text;

drop function acting(timestamptz);

create function acting(at timestamptz)
returns table (
    id text, holder text, holder_unit text, role text, office text, granted_by text, person text, unit text,
    lent_by text
) language sql stable as $$
    select g.id, h.id, h.unit, g.role, g.office, g.granted_by, coalesce(t.id, h.id), coalesce(t.unit, h.unit),
        nullif(d.given_by, d.giver)
    from grants g
    join people h on h.id = g.person and h.disabled_at is null
    left join delegations d on d.giver = g.person and g.role = any (d.roles) and d.ended_at is null
        and d.starts_at <= at and d.ends_at > at
    left join people t on t.id = d.taker
    where g.revoked_at is null and t.disabled_at is null
$$;

grant execute on function acting to ringi_app;

-- migrate:down
