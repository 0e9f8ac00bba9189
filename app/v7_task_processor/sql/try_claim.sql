-- Set one job running as claims do, to see whether Postgres refuses it: the changes and the answer are claim.sql's.
-- Called by: a worker whose claim was refused, which has just locked the row, and takes all of it back.
-- Locks: the row. Serves: the primary key.
update v7.jobs set status = 'running', attempt = attempt + 1, worker_id = :worker_id::bigint,
    claimed_at = now(), max_retries = coalesce(max_retries, (
        select own.max_retries from unnest(:limited_types::bigint[], :type_limits::integer[])
            as own(event_type_id, max_retries) where own.event_type_id = jobs.event_type_id),
        :max_retries::integer)
where id = :id::bigint
returning id, attempt, event_type_id, user_id, priority, event_data::text, retry_count, max_retries,
    correlation_id, date_part('epoch', created_at), position,
    case when isfinite(queued_at) then date_part('epoch', now() - queued_at) else 0 end, traceparent, tracestate
