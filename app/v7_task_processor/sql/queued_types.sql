-- The first so many types with queued jobs, by number. Called by: the overview, the list of types, metrics.
-- Serves: jobs_queue_by_type, one descent for each type (a loose index scan), and jobs_suspect.
with recursive types as (
    (select event_type_id, 1 as nth from v7.jobs
     where status = 'queued' and not suspect and (:after::bigint is null or event_type_id > :after::bigint)
     order by event_type_id, priority, position limit 1)
    union all
    select following.event_type_id, types.nth + 1
    from types cross join lateral (
        select event_type_id from v7.jobs
        where status = 'queued' and not suspect and event_type_id > types.event_type_id
        order by event_type_id, priority, position limit 1) as following
    where types.nth < :at_most::integer)
select event_type_id from types
union
select event_type_id from (
    select event_type_id from v7.jobs
    where status = 'queued' and suspect and (:after::bigint is null or event_type_id > :after::bigint)
    order by priority, position limit :suspects_max::bigint) as suspects
order by event_type_id limit :at_most::integer
