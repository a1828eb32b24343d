-- migrate:up
set local lock_timeout = '4s';

-- The digest of the read model's rows as they were when they were last compared: whoever changes them without an entry on
-- the ledger changes it.
alter table comparisons add column rows_digest text;

-- migrate:down
