-- Take the best queued jobs for a worker, and no more of a type with a limit than there is room for.
-- Called by: the claimer of each worker while types that it serves have limits, under the lock of lock_limits.sql.
-- Locks: the rows it takes, and of a probed type some that it leaves. Serves: jobs_queue, jobs_queue_by_type,
-- jobs_running, jobs_suspect, event_types_limited.
-- Answers as claim.sql does, with a row with id 0 first, in which event_data has the types to probe next time, by
-- commas, and max_retries is 1 where there is more to take.
--
-- Its shape: what runs is counted, by the rows themselves: whatever ends or takes a job away (a crash, a rescue, a
-- cancel, a hand) gives its room back. The index of running rows is no longer than what the workers hold.
-- A type that has room for the whole batch costs nothing more: it stands in the global order, and is scanned with
-- it. One that is full is shut, so that its rows are not scanned, and the frontier goes on past them. From then on it
-- is probed: where it has room, its own rows are looked for by its own index, until a probe finds none queued. So
-- there is a probe only for types that have been full since, and have work.
-- Of the probed types only the best heads matter, one for each job of the batch, and of each no row behind the last
-- of those heads. What was found in both ways is merged in order, and cut to the batch: the order is exact.
-- A probe orders by the type too, and compares it by <= instead of =, so that no other index can serve it: where the
-- statistics knew of no queued row, the queue's own was taken, and all of the queue passed over for each type.
-- A probe passes over the jobs that Postgres refuses (see claim.sql) from its head on: it would find no other else.
-- Suspects are left places (places_of_suspects.sql): without any, that costs one look at an empty index (0.02 ms).
-- Types are told apart by hashed subplans and by one aggregate over all: a join would be planned as a nested loop,
-- a thousand types by a thousand.
with {places_of_suspects},
told as materialized (
    select event_type_id, concurrency_limit as part, true as limited, false as probed
    from v7.event_types where concurrency_limit is not null
    union all
    select event_type_id, -1, false, false from v7.jobs where status = 'running'
    union all
    select event_type_id, -places, false, false from places_of_suspects
    union all
    select unnest(:probed_types::bigint[]), 0, false, true),
types as materialized (
    select event_type_id, bool_or(probed) as probed,
        case when bool_or(limited) then least(sum(part), :batch::integer) else :batch::integer end as room
    from told group by event_type_id having bool_or(limited) or bool_or(probed)),
shut as materialized (
    select unnest(:closed_types::bigint[]) as event_type_id
    union all
    select event_type_id from types where probed or room <= 0),
fresh as materialized (
    select ctid, event_type_id, priority, position,
        case when pg_column_compression(event_data) is null then pg_column_size(event_data)
            else octet_length(event_data::text) end as bytes
    from v7.jobs
    where status = 'queued' and not suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id not in (select event_type_id from shut)
      and priority < :frontier_priority::bigint and position > :horizon::bigint
      and position <> all(:passed_over::bigint[])
      and (select last_value from v7.position) > :horizon::bigint
    order by priority, position limit :batch::integer for no key update skip locked),
rest as materialized (
    select ctid, event_type_id, priority, position,
        case when pg_column_compression(event_data) is null then pg_column_size(event_data)
            else octet_length(event_data::text) end as bytes
    from v7.jobs
    where status = 'queued' and not suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id not in (select event_type_id from shut)
      and (priority, position) > (:frontier_priority::bigint, least(:frontier_position::bigint, :horizon::bigint))
      and position <> all(:passed_over::bigint[])
    order by priority, position
    limit greatest(0, :batch::integer - (select count(*) from fresh)) for no key update skip locked),
scanned as materialized (
    select *, max(room) over (partition by event_type_id) as room_of_type,
        count(ctid) over (partition by event_type_id order by priority, position rows unbounded preceding) as nth
    from (select *, null::bigint as room from fresh
          union all select *, null from rest
          union all select null, event_type_id, null, null, null, room from types
                    where not probed and room > 0 and room < :batch::integer) as beside),
heads as materialized (
    select types.event_type_id, types.room, head.priority, head.position
    from types, lateral (
        select priority, position from v7.jobs
        where status = 'queued' and not suspect
          and event_type_id >= types.event_type_id and event_type_id <= types.event_type_id
          and position <> all(:passed_over::bigint[])
        order by event_type_id, priority, position limit 1) as head
    where types.probed and types.room > 0 and types.event_type_id <> all(:closed_types::bigint[])
      and (:serves_all::boolean or types.event_type_id = any(:open_types::bigint[]))),
best_heads as materialized (
    select * from heads order by priority, position limit :batch::integer),
last_head as materialized (
    select case when count(*) < :batch::integer then 9223372036854775807 else max(priority) end as priority,
        case when count(*) < :batch::integer then 9223372036854775807
            else (array_agg(position order by priority desc, position desc))[1] end as position
    from best_heads),
probed as materialized (
    select own.* from best_heads, last_head, lateral (
        select ctid, priority, position,
            case when pg_column_compression(event_data) is null then pg_column_size(event_data)
                else octet_length(event_data::text) end as bytes
        from v7.jobs
        where status = 'queued' and not suspect and event_type_id >= best_heads.event_type_id
          and (event_type_id, priority, position)
              <= (best_heads.event_type_id, last_head.priority, last_head.position)
          and position <> all(:passed_over::bigint[])
        order by event_type_id, priority, position limit best_heads.room for no key update skip locked) as own),
found as materialized (
    select ctid, priority, position, bytes from scanned
    where ctid is not null and (room_of_type is null or nth <= room_of_type)
    union all
    select ctid, priority, position, bytes from probed),
best as materialized (
    select ctid, sum(bytes) over (order by priority, position rows unbounded preceding) - bytes as bytes_before
    from found order by priority, position limit :batch::integer),
chosen as materialized (
    select ctid from best where bytes_before < :bytes_max::bigint),
claimed as (
    update v7.jobs set {set_running}
    where ctid = any(array(select ctid from chosen))
      and exists (select from v7.workers where id = :worker_id::bigint)
    returning {claimed_job}),
next as (
    select event_type_id from types where room <= 0
    union
    select event_type_id from heads
    union
    select event_type_id from scanned where ctid is not null and nth > room_of_type)
select 0::bigint as id, (select count(*)::integer from v7.workers where id = :worker_id::bigint) as attempt,
    0::bigint as event_type_id, 0::bigint as user_id, 0::bigint as priority,
    (select coalesce(string_agg(event_type_id::text, ','), '') from next) as event_data, 0 as retry_count,
    ((select count(*) from found) > (select count(*) from chosen)
     or (select count(*) from fresh) + (select count(*) from rest) = :batch::integer)::integer as max_retries,
    '' as correlation_id, 0::float8 as created,
    (select last_value - (not is_called)::integer from v7.position) as position, 0::float8 as waited_seconds,
    null::text as traceparent, null::text as tracestate
union all
select * from claimed
