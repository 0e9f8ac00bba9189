-- Take the best queued jobs for a worker: lowest priority first, first in first out within one.
-- Called by: the claimer of each worker, on a connection of its own that commits asynchronously.
-- Locks: the rows it takes (SKIP LOCKED passes over those of other workers). Serves: jobs_queue.
-- Always answers one row with id 0 first (the arms of a UNION ALL run in turn, and none in parallel beside an update):
-- attempt there is 1 while the worker is registered, position is where the sequence stands, and retry_count how many
-- there were: it takes fewer where bytes_max ends it. The jobs come as they were updated, by their place in the table:
-- to sort them here took an eighth of a claim, and whoever asked does it for less.
--
-- Its shape: a claim that starts at the head of the index visits every dead entry there, again and again, while
-- any old snapshot is open. So it takes first what is better than the frontier (the last row taken) and was
-- queued since the horizon (where the sequence stood a moment ago), then goes on from the frontier. What commits
-- late is found by the plain claims between (frontier and horizon at minus infinity): correctness never depends
-- on the two. Where the sequence has not moved since, nothing is newer, and the index below the frontier is not read:
-- with many priorities that is all its dead entries (jobs_queue has no better way to a position).
-- A limit in a CTE by ctid, because the rows were just locked: no second look-up by primary key.
-- Jobs that Postgres refuses to set running are passed over by position: the indexes have it, and not the id.
-- The length of a large value that is not compressed is in its header; octet_length alone would read all of it, of jobs
-- too that bytes_max leaves in the queue.
with fresh as materialized (
    select ctid,
        case when pg_column_compression(event_data) is null then pg_column_size(event_data)
            else octet_length(event_data::text) end as bytes
    from v7.jobs
    where status = 'queued' and not suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id <> all(:closed_types::bigint[])
      and priority < :frontier_priority::bigint and position > :horizon::bigint
      and position <> all(:passed_over::bigint[])
      and (select last_value from v7.position) > :horizon::bigint
    order by priority, position limit :batch::integer for no key update skip locked),
rest as materialized (
    select ctid,
        case when pg_column_compression(event_data) is null then pg_column_size(event_data)
            else octet_length(event_data::text) end as bytes
    from v7.jobs
    where status = 'queued' and not suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id <> all(:closed_types::bigint[])
      and (priority, position) > (:frontier_priority::bigint, least(:frontier_position::bigint, :horizon::bigint))
      and position <> all(:passed_over::bigint[])
    order by priority, position
    limit greatest(0, :batch::integer - (select count(*) from fresh)) for no key update skip locked),
best as (
    select ctid, sum(bytes) over (rows unbounded preceding) - bytes as bytes_before
    from (select ctid, bytes from fresh union all select ctid, bytes from rest) as found),
claimed as (
    update v7.jobs set {set_running}
    where ctid = any(array(select ctid from best where bytes_before < :bytes_max::bigint))
      and exists (select from v7.workers where id = :worker_id::bigint)
    returning {claimed_job})
select 0::bigint as id, (select count(*)::integer from v7.workers where id = :worker_id::bigint) as attempt,
    0::bigint as event_type_id, 0::bigint as user_id, 0::bigint as priority, '' as event_data,
    ((select count(*) from fresh) + (select count(*) from rest))::integer as retry_count,
    0 as max_retries, '' as correlation_id, 0::float8 as created,
    (select last_value - (not is_called)::integer from v7.position) as position, 0::float8 as waited_seconds,
    null::text as traceparent, null::text as tracestate
union all
select * from claimed
