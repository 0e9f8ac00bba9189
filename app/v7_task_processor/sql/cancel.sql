-- Take jobs out of the queue for good, into the history as cancelled; whatever they are doing. Durable.
-- Called by: `v7 jobs cancel`, POST /api/jobs/v1/{id}/cancel, operations. Locks: the rows. Serves: jobs_pkey.
-- A running one is gone at once, so that its worker's word is void by the fence: a worker that waited for this row
-- finds none, and where the worker's word came first, there is none here. Workers are told, to stop its handler.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
gone as (
    delete from v7.jobs
    where (select setting from durably) <> '' and id = any(:ids::bigint[]) and status = any(:statuses::text[])
    returning *),
moved as (
    insert into v7.finished_jobs (id, event_type_id, user_id, priority, event_data, correlation_id, status,
        position, retry_count, max_retries, attempt, worker_id, suspect, last_error, created_at, queued_at,
        claimed_at, finished_at, redriven_from, traceparent, tracestate, log)
    select id, event_type_id, user_id, priority, event_data, correlation_id, 'cancelled',
        position, retry_count, max_retries, attempt, worker_id, suspect, last_error, created_at, queued_at,
        claimed_at, now(), redriven_from, traceparent, tracestate, log
    from gone)
select status, case when status = 'running' then pg_notify('v7', 'cancelled')::text end from gone
