-- Move jobs that succeeded into the history, durably.
-- Called by: the recorder of each worker, and the supervisor for a worker that died after its handlers ended.
-- Locks: the rows it moves. Serves: jobs_pkey.
-- The guard names no status: worker_id is not null exactly while a job runs (a CHECK), and with
-- status = 'running' the planner would take the index of running rows, empty by its statistics, for the join.
-- No join either: one that is planned while the table is empty reads all of jobs_pkey for it, and a worker's session
-- keeps that plan (110 ms a batch and growing with the queue, instead of 4). Here nothing but jobs_pkey is left.
-- Durable, whatever the server's default: a completion that a crash takes back leaves a job running under a
-- living worker that believes it done, and nobody rescues it.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
done as (
    delete from v7.jobs
    where (select setting from durably) <> '' and id = any(:ids::bigint[]) and worker_id = :worker_id::bigint
      and ((id, attempt) in (select * from unnest(:ids::bigint[], :attempts::integer[]))) is true
    returning *),
moved as (
    insert into v7.finished_jobs (id, event_type_id, user_id, priority, event_data, correlation_id, status,
        position, retry_count, max_retries, attempt, worker_id, suspect, last_error, created_at, queued_at,
        claimed_at, finished_at, redriven_from, traceparent, tracestate)
    select id, event_type_id, user_id, priority, event_data, correlation_id, 'succeeded',
        position, retry_count, max_retries, attempt, worker_id, suspect, last_error, created_at, queued_at,
        claimed_at, now(), redriven_from, traceparent, tracestate
    from done)
select count(*) from done
