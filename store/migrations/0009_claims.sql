-- migrate:up
set local lock_timeout = '4s';

-- Who claimed a place in a turn, and whether no place is left, so that it is theirs alone.
alter table turns
    add column claimed_by text[] not null default '{}',
    add column taken boolean not null default false;

-- migrate:down
