-- migrate:up
set local lock_timeout = '4s';

create table people (
    id text primary key,
    name text not null,
    unit text not null
);

create table grants (
    id text primary key,
    person text not null references people (id),
    role text not null,
    office text,
    granted_at timestamptz not null default clock_timestamp(),
    revoked_at timestamptz
);
create unique index grants_in_force on grants (person, role, coalesce(office, '')) where revoked_at is null;
create index grants_by_role on grants (role, office) where revoked_at is null;

create table policy_packs (
    digest text primary key,
    id text not null,
    version text not null,
    content bytea not null,
    published_at timestamptz not null default clock_timestamp(),
    unique (id, version)
);

create table proposals (
    digest text primary key,
    content bytea not null,
    stored_at timestamptz not null default clock_timestamp()
);

create table documents (
    digest text primary key,
    media_type text not null,
    content bytea not null
);

-- The same document may be uploaded by several people; each may read it.
create table uploads (
    digest text not null references documents (digest),
    person text not null,
    uploaded_at timestamptz not null default clock_timestamp(),
    primary key (digest, person)
);

create table completions (
    person text not null,
    course text not null,
    completed_at timestamptz not null,
    expires_at timestamptz,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (person, course, completed_at)
);

-- One row a review: the head of its ledger, the state that the ledger folds to, and the columns that lists are made of.
create table reviews (
    id text primary key,
    seq integer not null default 0,
    head text not null default repeat('0', 64),
    state bytea,
    stage text,
    phase text,
    outcome text,
    tier smallint,
    title text not null,
    business_unit text not null,
    owner text not null,
    author text not null,
    submitted_at timestamptz not null,
    updated_at timestamptz not null,
    closed_at timestamptz
);
create index reviews_by_owner on reviews (owner, submitted_at desc);
create index reviews_by_author on reviews (author, submitted_at desc);
create index reviews_open on reviews (submitted_at desc) where outcome is null;

create table turns (
    review_id text not null references reviews (id),
    position smallint not null,
    stage text not null,
    kinds text[] not null,
    what text not null,
    role text not null,
    office text,
    person text,
    not_for text[] not null,
    since timestamptz not null,
    due_at timestamptz,
    blocking boolean not null
);
create index turns_of_review on turns (review_id);
create index turns_by_role on turns (role, office);
create index turns_by_person on turns (person) where person is not null;

-- A gap that a review waits for; `on_record` is how many completions the check that found it had read, not counting those dated
-- ahead of it.
create table training_waits (
    review_id text not null references reviews (id),
    person text not null,
    course text not null,
    on_record integer not null
);
create index training_waits_of_review on training_waits (review_id);
create index training_waits_by_course on training_waits (person, course);

create table decisions (
    id uuid primary key,
    review_id text not null references reviews (id),
    kind text not null,
    person text not null,
    envelope bytea not null,
    digest text not null,
    received_at timestamptz not null,
    next_attempt_at timestamptz not null,
    status text not null default 'pending' check (status in ('pending', 'accepted', 'refused')),
    reason text,
    detail text,
    seq integer,
    settled_at timestamptz
);
create unique index one_pending_decision on decisions (review_id, person) where status = 'pending';
create unique index one_submission on decisions (review_id) where kind = 'submission';
create index decisions_pending on decisions (next_attempt_at) where status = 'pending';
create index decisions_of_review on decisions (review_id, received_at);

create table ledger (
    review_id text not null references reviews (id),
    seq integer not null,
    data bytea not null,
    hash text not null,
    primary key (review_id, seq)
);

create table notices (
    id bigint generated always as identity primary key,
    review_id text not null references reviews (id),
    seq integer not null,
    role text not null,
    office text,
    person text,
    what text not null,
    due_at timestamptz,
    queued_at timestamptz not null default clock_timestamp(),
    sent_at timestamptz
);
create index notices_unsent on notices (id) where sent_at is null;

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;

create trigger ledger_is_append_only before update or delete on ledger
    for each row execute function refuse_change();
create trigger ledger_is_not_truncated before truncate on ledger
    for each statement execute function refuse_change();
create trigger policy_packs_are_immutable before update or delete on policy_packs
    for each row execute function refuse_change();
create trigger policy_packs_are_not_truncated before truncate on policy_packs
    for each statement execute function refuse_change();

grant usage on schema public to ringi_app;
grant select, insert on ledger, policy_packs, proposals, documents, uploads, completions, notices to ringi_app;
grant select, insert, update on people, grants, reviews, decisions to ringi_app;
grant select, insert, delete on turns, training_waits to ringi_app;

-- migrate:down
