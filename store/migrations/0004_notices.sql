-- migrate:up
set local lock_timeout = '4s';

alter table people add column email text;

-- What a person wants by mail. Who has no row here has said nothing, and gets what everybody gets.
create table preferences (
    person text primary key references people (id),
    pace text not null,
    kinds text[] not null,
    time_zone text not null,
    hour smallint not null,
    updated_at timestamptz not null default clock_timestamp()
);

-- A notice is queued in the commit that it tells of; whom it is for is found out later, once, and noted in `tellings`.
alter table notices
    alter column role drop not null,
    add column kind text not null default 'turn',
    add column answered_by text[] not null default '{}';
alter table notices rename column sent_at to addressed_at;
alter index notices_unsent rename to notices_unaddressed;
-- What was queued before anything could be sent is told to nobody now.
update notices set addressed_at = queued_at;
create index notices_of_review on notices (review_id, id);

-- A mail on its way. One that carries notices is written when it is sent, of those that are still for its person;
-- one to an address that is nobody's account comes written, and keeps its text until it is gone.
create table mails (
    id uuid primary key default gen_random_uuid(),
    person text,
    event_id text unique,
    address text,
    subject text,
    body text,
    queued_at timestamptz not null default clock_timestamp(),
    next_attempt_at timestamptz not null default clock_timestamp(),
    attempts integer not null default 0,
    state text not null default 'waiting' check (state in ('waiting', 'sent', 'failed', 'dropped')),
    error text,
    settled_at timestamptz,
    check ((person is null) = (event_id is not null))
);
create index mails_due on mails (next_attempt_at) where state = 'waiting';
create unique index one_mail_at_a_time on mails (person) where state = 'waiting';

-- What became of a notice for one person; `due_at` is when a mail about it is to go, if one is.
create table tellings (
    notice bigint not null references notices (id),
    person text not null,
    due_at timestamptz,
    mail uuid references mails (id),
    state text not null check (
        state in ('waiting', 'mailing', 'sent', 'failed', 'past', 'unwanted', 'no_address')
    ),
    settled_at timestamptz,
    primary key (notice, person)
);
create index tellings_due on tellings (due_at) where state = 'waiting';
create index tellings_waiting on tellings (person) where state = 'waiting';
create index tellings_of_mail on tellings (mail) where mail is not null;
create index tellings_of_person on tellings (person, notice desc);

-- The secret signs what is posted, so it can't be kept as a digest alone.
create table webhooks (
    id uuid primary key default gen_random_uuid(),
    url text not null,
    secret text not null,
    entries text[] not null,
    registered_by text not null,
    registered_at timestamptz not null default clock_timestamp(),
    removed_at timestamptz,
    removed_by text
);

-- An entry of a ledger on its way to a webhook; queued in the commit that wrote the entry.
create table posts (
    webhook uuid not null references webhooks (id),
    review_id text not null,
    seq integer not null,
    queued_at timestamptz not null default clock_timestamp(),
    next_attempt_at timestamptz not null default clock_timestamp(),
    attempts integer not null default 0,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
    error text,
    settled_at timestamptz,
    primary key (webhook, review_id, seq)
);
create index posts_due on posts (webhook, next_attempt_at) where state = 'waiting';
create index posts_by_time on posts (webhook, queued_at desc);

-- What streams of events are made of: each entry of a ledger, and each turn as it was and as it is. Identities are
-- given out in another order than commits come to be seen; by `tx`, up to the oldest transaction that is still under
-- way, nothing that is not seen yet can come before what is.
create table feed (
    id bigint generated always as identity primary key,
    tx xid8 not null default pg_current_xact_id(),
    review_id text not null,
    seq integer not null,
    was text,
    now text
);
create index feed_in_order on feed (tx, id);

grant select, insert, update on preferences, mails, tellings, webhooks, posts to ringi_app;
grant update (addressed_at) on notices to ringi_app;
grant select, insert, update (tx) on feed to ringi_app;

-- migrate:down
