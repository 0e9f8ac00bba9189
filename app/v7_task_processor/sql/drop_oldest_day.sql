-- Drop the oldest day of the history if its time has come. Called by: maintenance, until it answers null.
-- A DROP that waits for one reader makes every completion wait behind it, hence a second at most, and again later.
with patient as materialized (select set_config('lock_timeout', '1s', true) as setting)
select v7.drop_oldest_day(:retention_days::integer) from patient where setting is not null
