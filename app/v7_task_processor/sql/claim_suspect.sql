-- Take one suspect: a job that was running, with others, in a process that died.
-- Called by: a lone worker, which runs nothing beside it. Locks: the row it takes.
-- Serves: jobs_suspect, jobs_running, event_types_limited.
-- Answers as claim.sql does: a row with id 0 first. Under the lock of lock_limits.sql, none of a type that is full;
-- claim_limited.sql leaves it room.
with {full_types},
next as materialized (
    select ctid from v7.jobs
    where status = 'queued' and suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id <> all(:closed_types::bigint[])
      and event_type_id not in (select event_type_id from full_types)
      and position <> all(:passed_over::bigint[])
    order by priority, position limit 1 for no key update skip locked),
claimed as (
    update v7.jobs set {set_running}
    where ctid = any(array(select ctid from next))
      and exists (select from v7.workers where id = :worker_id::bigint)
    returning {claimed_job})
select 0::bigint as id, (select count(*)::integer from v7.workers where id = :worker_id::bigint) as attempt,
    0::bigint as event_type_id, 0::bigint as user_id, 0::bigint as priority, '' as event_data,
    0 as retry_count, 0 as max_retries, '' as correlation_id, 0::float8 as created,
    (select last_value - (not is_called)::integer from v7.position) as position, 0::float8 as waited_seconds,
    null::text as traceparent, null::text as tracestate
union all
select * from claimed
