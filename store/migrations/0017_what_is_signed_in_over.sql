-- migrate:up
set local lock_timeout = '4s';

-- The decision itself, to be shown to whoever signs in over it; empty where that was asked for before it was kept.
alter table step_ups add column envelope bytea;

-- migrate:down
