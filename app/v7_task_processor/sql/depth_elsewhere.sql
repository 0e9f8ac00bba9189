-- How many jobs of each status and type do not stand in the plain queue; of each status the first so many are counted.
-- Called by: the overview. Serves: jobs_suspect, jobs_running, jobs_scheduled, jobs_dead.
-- Each order names an index, since a count by itself may be planned as a scan of all.
select status, event_type_id, count(*) from (
    (select status, event_type_id from v7.jobs where status = 'queued' and suspect
        order by priority, position limit :at_most::bigint)
    union all (select status, event_type_id from v7.jobs where status = 'running'
        order by worker_id limit :at_most::bigint)
    union all (select status, event_type_id from v7.jobs where status = 'scheduled'
        order by run_at limit :at_most::bigint)
    union all (select status, event_type_id from v7.jobs where status = 'dead'
        order by dead_at, id limit :at_most::bigint)) as heads
group by status, event_type_id
