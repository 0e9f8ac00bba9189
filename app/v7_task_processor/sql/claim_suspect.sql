-- Take one suspect: a job that was running, with others, in a process that died.
-- Called by: a lone worker, which runs nothing beside it. Locks: the row it takes.
-- Serves: jobs_suspect, jobs_running, event_types_limited.
-- Answers as claim.sql does: a row with id 0 first. Under the lock of lock_limits.sql, none of a type that is full;
-- claim_limited.sql leaves it room.
with told as materialized (
    select event_type_id, concurrency_limit as part, true as limited
    from v7.event_types where concurrency_limit is not null
    union all
    select event_type_id, -1, false from v7.jobs where status = 'running'),
full_types as materialized (
    select event_type_id from told group by event_type_id having bool_or(limited) and sum(part) <= 0),
next as materialized (
    select ctid from v7.jobs
    where status = 'queued' and suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id <> all(:closed_types::bigint[])
      and event_type_id not in (select event_type_id from full_types)
      and position <> all(:passed_over::bigint[])
    order by priority, position limit 1 for no key update skip locked),
claimed as (
    update v7.jobs set status = 'running', attempt = attempt + 1, worker_id = :worker_id::bigint,
        claimed_at = now(), max_retries = coalesce(max_retries, (
            select own.max_retries from unnest(:limited_types::bigint[], :type_limits::integer[])
                as own(event_type_id, max_retries) where own.event_type_id = jobs.event_type_id),
            :max_retries::integer)
    where ctid = any(array(select ctid from next))
      and exists (select from v7.workers where id = :worker_id::bigint)
    returning id, attempt, event_type_id, user_id, priority, event_data::text, retry_count, max_retries,
        correlation_id, date_part('epoch', created_at) as created, position,
        case when isfinite(queued_at) then date_part('epoch', now() - queued_at) else 0 end as waited_seconds,
        traceparent, tracestate)
select 0::bigint as id, (select count(*)::integer from v7.workers where id = :worker_id::bigint) as attempt,
    0::bigint as event_type_id, 0::bigint as user_id, 0::bigint as priority, '' as event_data,
    0 as retry_count, 0 as max_retries, '' as correlation_id, 0::float8 as created,
    (select last_value - (not is_called)::integer from v7.position) as position, 0::float8 as waited_seconds,
    null::text as traceparent, null::text as tracestate
union all
select * from claimed
