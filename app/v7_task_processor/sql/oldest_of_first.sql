-- Of each type since when the oldest of the queued jobs with the lowest ids waits. Called by: the overview, the list of
-- types, metrics. Serves: jobs_pkey.
select event_type_id, min(queued_at) from (
    select status, event_type_id, coalesce(queued_at, created_at) as queued_at from v7.jobs
    order by id limit :at_most::bigint) as head
where status = 'queued' group by event_type_id
