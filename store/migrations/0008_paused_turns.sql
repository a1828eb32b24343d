-- migrate:up
set local lock_timeout = '4s';

-- Whether the owner has a question to answer first: then nobody is late with this for now.
alter table turns add column paused boolean not null default false;

-- migrate:down
