-- The types of which as many jobs run as their limits allow: no suspect of these runs beside them.
-- Serves: jobs_running, event_types_limited.
told as materialized (
    select event_type_id, concurrency_limit as part, true as limited
    from v7.event_types where concurrency_limit is not null
    union all
    select event_type_id, -1, false from v7.jobs where status = 'running'),
full_types as materialized (
    select event_type_id from told group by event_type_id having bool_or(limited) and sum(part) <= 0)
