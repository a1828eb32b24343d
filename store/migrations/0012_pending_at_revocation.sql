-- migrate:up
set local lock_timeout = '4s';

-- What a key had signed that was not settled yet when it was revoked: the only decisions that it counts on after that.
alter table signing_keys add column pending text[] not null default '{}';

-- migrate:down
