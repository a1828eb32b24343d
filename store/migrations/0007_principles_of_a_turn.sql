-- migrate:up
set local lock_timeout = '4s';

-- What a verdict sheet has to judge; the turns that are there already ask for every principle in their own words.
alter table turns add column principles text[] not null default '{}';

-- migrate:down
