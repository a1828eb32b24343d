-- migrate:up
set local lock_timeout = '4s';

-- Whoever stands for a proposal may have moved to another unit before that was followed: every open review is looked at.
update reviews set roles_seen = 0 where outcome is null;

-- migrate:down
