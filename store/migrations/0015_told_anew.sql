-- migrate:up
set local lock_timeout = '4s';

-- Up to which state of roles and absences whoever a turn of the review falls to was told of it; as `roles_seen`.
alter table reviews add column roles_told bigint not null default 0;
create index reviews_by_roles_told on reviews (roles_told) where outcome is null;

-- From when on it was news to a person whose turn it became later than the notice was queued.
alter table tellings add column since timestamptz;

-- migrate:down
