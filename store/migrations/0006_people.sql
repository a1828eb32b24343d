-- migrate:up
set local lock_timeout = '4s';

-- Whom a turn is kept to, and whom a conflict of interest or the origin of their role keeps from it.
alter table turns
    add column people text[] not null default '{}',
    add column units text[] not null default '{}',
    add column not_units text[] not null default '{}',
    add column not_granted_by text[] not null default '{}';

-- Whom lists don't show a review that they would judge: who stepped aside, who would work on it, whose unit it comes from.
alter table reviews
    add column aside text[] not null default '{}',
    add column assigned text[] not null default '{}',
    add column units text[] not null default '{}';

-- Who acts under which grant at a moment: its holder, or, while they are away, whoever they left it to.
create function acting(at timestamptz)
returns table (
    id text, holder text, holder_unit text, role text, office text, granted_by text, person text, unit text
) language sql stable as $$
    select g.id, h.id, h.unit, g.role, g.office, g.granted_by, coalesce(t.id, h.id), coalesce(t.unit, h.unit)
    from grants g
    join people h on h.id = g.person and h.disabled_at is null
    left join delegations d on d.giver = g.person and g.role = any (d.roles) and d.ended_at is null
        and d.starts_at <= at and d.ends_at > at
    left join people t on t.id = d.taker
    where g.revoked_at is null and t.disabled_at is null
$$;

grant execute on function acting to ringi_app;

-- migrate:down
