-- Which of these jobs' rows somebody else has locked. It waits for nobody.
-- Called by: the recorder, for words that could not be written; whoever rescues, for what a dead worker held; a worker
-- after a lost connection. Locks: the other rows, to the end of the transaction. Serves: jobs_pkey.
-- Alone it waits for no standby, as in release.sql: to lock a row is to write.
with as_told as materialized (
    select set_config('synchronous_commit', case when :alone::boolean then 'local'
        else current_setting('synchronous_commit') end, true) as setting),
free as materialized (
    select id from v7.jobs
    where (select setting from as_told) <> '' and id = any(:ids::bigint[]) for update skip locked)
select id from v7.jobs where id = any(:ids::bigint[]) and id not in (select id from free)
