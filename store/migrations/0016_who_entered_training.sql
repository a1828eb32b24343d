-- migrate:up
set local lock_timeout = '4s';

-- Who entered it; '' where that was not kept yet. The same completion can be entered by somebody else too: whose word it
-- is decides in which reviews it counts.
alter table completions add column entered_by text not null default '';
alter table completions drop constraint completions_pkey;
alter table completions add primary key (person, course, completed_at, entered_by);

-- migrate:down
