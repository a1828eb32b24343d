-- migrate:up
set local lock_timeout = '4s';

-- The head of the registry, one row: whoever appends locks it.
create table registry (
    only_one boolean primary key default true check (only_one),
    seq integer not null default 0,
    hash text not null default repeat('0', 64),
    at timestamptz not null default 'epoch'
);
insert into registry default values;

create table registry_ledger (
    seq integer primary key,
    data bytea not null,
    hash text not null,
    signatures bytea not null
);

-- The read model of the registry, with `people` and `grants`.
create table signing_keys (
    id text primary key,
    public text not null,
    added_at timestamptz not null,
    revoked_at timestamptz
);

create table issuer_keys (
    id text primary key,
    key jsonb not null
);

create table delegations (
    id text primary key,
    giver text not null references people (id),
    taker text not null references people (id),
    roles text[] not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    ended_at timestamptz
);
create index delegations_by_giver on delegations (giver) where ended_at is null;
create index delegations_by_taker on delegations (taker) where ended_at is null;

alter table people add column if not exists disabled_at timestamptz;
alter table grants add column granted_by text;

-- Who tried to say something else under the id of a decision: each is put on its review's record once.
create table reuses (
    decision uuid not null references decisions (id),
    person text not null,
    primary key (decision, person)
);

-- What was stored with a decision beside its bytes: the service's signatures, and the person's own renewed sign-in.
alter table decisions add column proof bytea not null default '{}';

create trigger registry_ledger_is_append_only before update or delete on registry_ledger
    for each row execute function refuse_change();
create trigger registry_ledger_is_not_truncated before truncate on registry_ledger
    for each statement execute function refuse_change();

grant select, update on registry to ringi_app;
grant select, insert on registry_ledger, reuses to ringi_app;
grant select, insert, update on signing_keys, issuer_keys, delegations to ringi_app;

-- migrate:down
