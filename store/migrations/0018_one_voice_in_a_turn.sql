-- migrate:up
set local lock_timeout = '4s';

-- Who was heard in this round with their own voice, and so takes the turn for nobody else.
alter table turns add column own_voice_only text[] not null default '{}';

-- migrate:down
