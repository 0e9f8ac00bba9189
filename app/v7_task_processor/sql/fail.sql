-- Charge failures: each job goes back to the tail of its priority after its delay, or to the dead letters.
-- Called by: the recorder of each worker, and the supervisor for what a crash is charged to.
-- Locks: the rows it moves. Serves: jobs_pkey.
-- A dead_reason given is a handler's Discard; else the job dies when its failures reach max_retries. A job that
-- failed by itself is no suspect any more; one that is charged for a crash stays one (suspects).
with durably as materialized (select set_config('synchronous_commit', 'on', true) as setting),
given as (
    select given.* from durably, unnest(:ids::bigint[], :attempts::integer[], :delays_seconds::float8[],
        :error_types::text[], :messages::text[], :tracebacks::text[], :dead_reasons::text[], :suspects::boolean[])
        as given(id, attempt, delay_seconds, error_type, message, traceback, dead_reason, suspect)
    where setting = 'on'),
charged as (
    update v7.jobs as job set
        retry_count = job.retry_count + 1,
        worker_id = null,
        suspect = given.suspect,
        last_error = given.error_type || ': ' || left(given.message, 1000),
        status = case when ending.dead_reason is not null then 'dead'
                      when given.delay_seconds > 0 then 'scheduled' else 'queued' end,
        dead_at = case when ending.dead_reason is not null then now() end,
        dead_reason = ending.dead_reason,
        run_at = case when ending.dead_reason is null and given.delay_seconds > 0
                      then now() + make_interval(secs => given.delay_seconds) end,
        position = case when ending.dead_reason is null and given.delay_seconds <= 0
                        then nextval('v7.position') else job.position end,
        queued_at = case when ending.dead_reason is null and given.delay_seconds <= 0
                         then now() else job.queued_at end
    from given, lateral (
        select coalesce(given.dead_reason, case when before.retry_count + 1 >= before.max_retries
                                                then 'max_retries reached' end) as dead_reason
        from v7.jobs as before where before.id = given.id) as ending
    where job.id = given.id and job.attempt = given.attempt and job.worker_id = :worker_id::bigint
    returning job.id, job.attempt, job.event_type_id, job.claimed_at, job.status, job.retry_count),
recorded as (
    insert into v7.failures (job_id, attempt, event_type_id, error_type, message, traceback, worker_id, worker,
                             claimed_at)
    select id, attempt, event_type_id, error_type, message, traceback, :worker_id::bigint, :worker::text, claimed_at
    from charged join given using (id, attempt))
select id, status, retry_count from charged
