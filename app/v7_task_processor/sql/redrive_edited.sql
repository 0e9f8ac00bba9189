-- Queue a dead letter's event again, edited, as a new job that names the old one; the old one is cancelled. Durable.
-- Called by: `v7 jobs redrive`, POST /api/jobs/v1/{id}/redrive. Locks: the row. Serves: jobs_pkey.
-- The old one leaves the queue in the same statement, so that of several callers one makes a job. What it was charged
-- with stays in its failures. A suspect stays one: nobody knows whether it was the event.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
old as (
    delete from v7.jobs where (select setting from durably) <> '' and id = :id::bigint and status = 'dead'
    returning *),
moved as (
    insert into v7.finished_jobs (id, event_type_id, user_id, priority, event_data, correlation_id, status,
        position, retry_count, max_retries, attempt, worker_id, suspect, last_error, created_at, queued_at,
        claimed_at, finished_at, redriven_from, traceparent, tracestate, log)
    select id, event_type_id, user_id, priority, event_data, correlation_id, 'cancelled',
        position, retry_count, max_retries, attempt, worker_id, suspect, last_error, created_at, queued_at,
        claimed_at, now(), redriven_from, traceparent, tracestate, log
    from old),
new as (
    insert into v7.jobs (event_type_id, user_id, priority, event_data, correlation_id, max_retries, suspect,
        queued_at, redriven_from, traceparent, tracestate)
    select event_type_id, user_id, priority, :event_data::json, correlation_id, max_retries, suspect, now(), id,
        traceparent, tracestate
    from old
    returning id)
select id, pg_notify('v7', 'jobs')::text from new
