-- migrate:up
set local lock_timeout = '4s';

-- Up to which state of roles and absences it was looked at who can fulfil the review's route: the entries of the registry,
-- and the beginnings and ends of delegations that have passed.
alter table reviews add column roles_seen bigint not null default 0;
create index reviews_by_roles_seen on reviews (roles_seen) where outcome is null;

-- migrate:down
