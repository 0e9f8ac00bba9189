-- Of each type with queued suspects since when the oldest waits. Called by: the overview.
-- Serves: jobs_suspect.
select event_type_id, min(queued_at) from (
    select event_type_id, queued_at from v7.jobs
    where status = 'queued' and suspect and (:after::bigint is null or event_type_id > :after::bigint)
    order by priority, position limit :at_most::bigint) as head
group by event_type_id
