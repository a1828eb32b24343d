-- migrate:up
set local lock_timeout = '4s';

-- What the service signed when it began the session: without it the row is nobody's. Those of before have to begin anew.
alter table sessions add column signatures bytea;

-- The entries about keys, which are few among many, are read whenever a session is used.
create index registry_ledger_of_keys on registry_ledger (seq) where position('"type":"key_'::bytea in data) > 0;

-- migrate:down
