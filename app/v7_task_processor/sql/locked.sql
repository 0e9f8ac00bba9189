-- Which of these jobs' rows somebody else has locked. It waits for nobody.
-- Called by: the recorder, for words that could not be written; whoever rescues, for what a dead worker held.
-- Locks: the other rows, to the end of the transaction. Serves: jobs_pkey.
with free as materialized (
    select id from v7.jobs where id = any(:ids::bigint[]) for update skip locked)
select id from v7.jobs where id = any(:ids::bigint[]) and id not in (select id from free)
