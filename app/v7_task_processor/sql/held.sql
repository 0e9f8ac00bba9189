-- What the database says these workers are running.
-- Called by: a worker after a lost connection, and the supervisor for one that died. Serves: jobs_running.
select id, attempt, worker_id, suspect, max_retries, retry_count, event_type_id from v7.jobs
where status = 'running' and worker_id = any(:worker_ids::bigint[])
order by priority, position
