-- migrate:up
set local lock_timeout = '4s';

-- What was known of a review, and of its workflow, when the two were last compared. `entries` is how long the record was,
-- `seen` how much of it the workflow knew.
create table comparisons (
    review_id text primary key references reviews (id),
    entries integer not null,
    run text,
    chain text,
    seen integer not null default 0,
    signals integer not null default 0,
    compared_at timestamptz
);
create index comparisons_in_turn on comparisons (compared_at);

-- What differs, or did. Its id is that of the decision by which it is put on record. It concerns a review, which need not
-- exist here, or all of them.
create table discrepancies (
    id uuid primary key default gen_random_uuid(),
    review_id text,
    what text not null,
    run text,
    detail text not null,
    noticed_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    entered_at timestamptz,
    cleared_at timestamptz
);
create unique index one_open_discrepancy on discrepancies (coalesce(review_id, ''), what) where cleared_at is null;
create index discrepancies_to_enter on discrepancies (noticed_at) where entered_at is null;

-- One row: the reconciler's last round, by the name under which Temporal must know it.
create table rounds (
    one boolean primary key default true check (one),
    workflow_id text not null,
    run_id text not null,
    ended_at timestamptz not null default clock_timestamp()
);

grant select, insert, update on comparisons, discrepancies, rounds to ringi_app;
grant select on schema_migrations to ringi_app;

-- migrate:down
