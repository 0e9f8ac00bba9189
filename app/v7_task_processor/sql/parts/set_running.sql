-- What a claim changes of a job that it takes. One that has no limit of failures keeps that of its first claim.
status = 'running', attempt = attempt + 1, worker_id = :worker_id::bigint, claimed_at = now(),
max_retries = coalesce(max_retries, (
    select own.max_retries from unnest(:limited_types::bigint[], :type_limits::integer[])
        as own(event_type_id, max_retries) where own.event_type_id = jobs.event_type_id),
    :max_retries::integer)
