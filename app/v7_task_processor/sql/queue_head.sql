-- Of which types the next so many jobs are. Called by: metrics, for types that have no label of their own.
-- Serves: jobs_queue.
select event_type_id, count(*) from (
    select event_type_id from v7.jobs where status = 'queued' and not suspect
    order by priority, position limit :at_most::bigint) as head
group by event_type_id
