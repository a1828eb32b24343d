-- migrate:up
set local lock_timeout = '4s';

-- Who did it and why is in the registry's ledger too; here it is at hand.
alter table people
    add column disabled_by text,
    add column disabled_because text;

-- A council member without an account is signed in by a link, once, for these reviews only; `link` is the digest of it.
create table invitations (
    id text primary key,
    person text not null references people (id),
    email text not null,
    reviews text[] not null,
    link text not null unique,
    invited_by text not null,
    invited_at timestamptz not null,
    expires_at timestamptz not null,
    used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text
);
create index invitations_of_person on invitations (person, invited_at desc);

-- A browser's session, by the digest of its cookie.
create table sessions (
    id text primary key,
    person text not null,
    started_at timestamptz not null default clock_timestamp(),
    last_seen_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    auth_time timestamptz,
    invitation text references invitations (id)
);
create index sessions_of_person on sessions (person) where ended_at is null;
create index sessions_of_invitation on sessions (invitation) where invitation is not null;
create index sessions_by_end on sessions (expires_at);

-- Browsers on their way to the identity provider and back, each way used once: by the digest of the state that travels,
-- and that of the cookie that stays behind. A step-up's is that of a session, and its nonce the digest of a decision.
create table sign_ins (
    id text primary key,
    browser text not null,
    nonce text not null,
    verifier text not null,
    return_to text not null,
    session text references sessions (id) on delete cascade,
    started_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index sign_ins_by_browser on sign_ins (browser);
create index sign_ins_by_end on sign_ins (expires_at);

-- Decisions that a person was asked to sign in again over, by the digest of the act; `token` once they did.
create table step_ups (
    nonce text primary key,
    person text not null,
    review_id text not null,
    decision_id uuid not null,
    kind text not null,
    asked_at timestamptz not null default clock_timestamp(),
    token text,
    key jsonb
);
create index step_ups_by_time on step_ups (asked_at);

grant select, insert, update on invitations, sessions, step_ups to ringi_app;
grant select, insert, delete on sign_ins to ringi_app;
grant delete on sessions, step_ups to ringi_app;

-- migrate:down
