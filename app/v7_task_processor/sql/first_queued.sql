-- The jobs that a claim of one looks at: the best beyond the horizon, the best from the frontier, and the best of the
-- types that are probed. Where Postgres refuses such a claim, one of them is to blame.
-- Called by: a worker whose claim was refused, in a transaction in which it then tries each. Locks: those rows; what
-- others hold is left out, as by claims. Serves: jobs_queue, jobs_queue_by_type, jobs_running, jobs_suspect,
-- event_types_limited.
-- Its arms are those of claim.sql and claim_limited.sql, which say why they look so. It changes nothing, and reads no
-- event_data, which may be what is broken. Where the claim counts, types that are full are left out.
with {places_of_suspects},
told as materialized (
    select event_type_id, concurrency_limit as part, true as limited
    from v7.event_types where concurrency_limit is not null and :counts::boolean
    union all
    select event_type_id, -1, false from v7.jobs where status = 'running' and :counts::boolean
    union all
    select event_type_id, -places, false from places_of_suspects where :counts::boolean),
full_types as materialized (
    select event_type_id from told group by event_type_id having bool_or(limited) and sum(part) <= 0),
shut as materialized (
    select unnest(:closed_types::bigint[]) as event_type_id
    union all
    select unnest(:probed_types::bigint[])
    union all
    select event_type_id from full_types),
fresh as materialized (
    select id, position from v7.jobs
    where status = 'queued' and not suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id not in (select event_type_id from shut)
      and priority < :frontier_priority::bigint and position > :horizon::bigint
      and (select last_value from v7.position) > :horizon::bigint
      and position <> all(:passed_over::bigint[])
    order by priority, position limit 1 for no key update skip locked),
rest as materialized (
    select id, position from v7.jobs
    where status = 'queued' and not suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id not in (select event_type_id from shut)
      and (priority, position) > (:frontier_priority::bigint, least(:frontier_position::bigint, :horizon::bigint))
      and position <> all(:passed_over::bigint[])
    order by priority, position limit 1 for no key update skip locked),
heads as materialized (
    select head.id, head.priority, head.position
    from unnest(:probed_types::bigint[]) as types(event_type_id), lateral (
        select id, priority, position from v7.jobs
        where status = 'queued' and not suspect
          and event_type_id >= types.event_type_id and event_type_id <= types.event_type_id
          and position <> all(:passed_over::bigint[])
        order by event_type_id, priority, position limit 1) as head
    where types.event_type_id not in (select event_type_id from full_types)
      and types.event_type_id <> all(:closed_types::bigint[])
      and (:serves_all::boolean or types.event_type_id = any(:open_types::bigint[]))),
probed as materialized (
    select id, position from v7.jobs
    where id = any(array(select id from heads order by priority, position limit 1))
    for no key update skip locked)
select id, position from fresh
union all
select id, position from rest
union all
select id, position from probed
