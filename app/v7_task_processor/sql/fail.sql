-- Charge failures: each job goes back to the tail of its priority after its delay, or to the dead letters.
-- Called by: the recorder of each worker, and the supervisor for what a crash is charged to.
-- Locks: the rows it moves. Serves: jobs_pkey.
-- A dead_reason given is a handler's Discard; else the job dies when its failures reach max_retries. A job that
-- failed by itself is no suspect any more; one that is charged for a crash stays one (suspects).
-- Each row is looked up by itself (offset 0 keeps that look-up from being planned as a join) and joined by ctid: a
-- join by id that is planned while the table is empty reads all of jobs_pkey, for each failure in the batch, and a
-- worker's session keeps that plan (26 s for 500 failures beside 100,000 queued jobs, instead of 0.02).
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
given as (
    select given.* from durably, unnest(:ids::bigint[], :attempts::integer[], :delays_seconds::float8[],
        :error_types::text[], :messages::text[], :tracebacks::text[], :dead_reasons::text[], :suspects::boolean[],
        :logs::text[])
        as given(id, attempt, delay_seconds, error_type, message, traceback, dead_reason, suspect, log)
    where setting <> ''),
charged as (
    update v7.jobs as job set
        retry_count = job.retry_count + 1,
        worker_id = null,
        suspect = given.suspect,
        log = null,
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
        select ctid, coalesce(given.dead_reason, case when retry_count + 1 >= max_retries
                                                      then 'max_retries reached' end) as dead_reason
        from v7.jobs where id = given.id and attempt = given.attempt and worker_id = :worker_id::bigint
        offset 0) as ending
    where job.ctid = ending.ctid and job.attempt = given.attempt and job.worker_id = :worker_id::bigint
    returning job.id, job.attempt, job.event_type_id, job.claimed_at, job.status, job.retry_count,
        given.error_type, given.message, given.traceback, given.log),
recorded as (
    insert into v7.failures (job_id, attempt, event_type_id, error_type, message, traceback, worker_id, worker,
                             claimed_at, log)
    select id, attempt, event_type_id, error_type, message, traceback, :worker_id::bigint, :worker::text, claimed_at,
        log
    from charged)
select id, status, retry_count from charged
