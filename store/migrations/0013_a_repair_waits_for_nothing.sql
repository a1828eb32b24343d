-- migrate:up
set local lock_timeout = '4s';

-- What is pending of a lost review gets its receipt only after a repair, an earlier repair that came to nothing among it:
-- so whoever has something pending can ask for one all the same.
drop index one_pending_decision;
create unique index one_pending_decision on decisions (review_id, person)
    where status = 'pending' and kind <> 'repair';

-- migrate:down
