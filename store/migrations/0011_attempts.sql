-- migrate:up
set local lock_timeout = '4s';

-- What the API refused: who tried what, and why it was refused. What became a decision and was refused stands on its
-- review's ledger instead. A row with `times` above one stands for so many of one person's, or of nobody's we know.
create table attempts (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    person text,
    method text not null,
    route text,
    review_id text,
    decision_id uuid,
    kind text,
    status smallint not null,
    problem text not null,
    reason text,
    detail text,
    request_id text,
    times integer not null default 1
);
create index attempts_of_person on attempts (person, id desc);
create index attempts_of_review on attempts (review_id, id desc) where review_id is not null;

create trigger attempts_are_append_only before update or delete on attempts
    for each row execute function refuse_change();
create trigger attempts_are_not_truncated before truncate on attempts
    for each statement execute function refuse_change();

grant select, insert on attempts to ringi_app;

-- migrate:down
