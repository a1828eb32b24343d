-- migrate:up
set local lock_timeout = '4s';

-- Which packs are published, the registry's ledger says: a row in the table of packs is only what an entry there names.
create index registry_ledger_of_packs on registry_ledger (seq) where position('"type":"pack_'::bytea in data) > 0;

-- migrate:down
