-- Put off jobs whose handlers said Snooze: again later, not charged.
-- Called by: the recorder of each worker. Locks: the rows it moves. Serves: jobs_pkey.
-- Rows are looked up one by one and joined by ctid, as in fail.sql.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting)
update v7.jobs as job set status = 'scheduled', worker_id = null, suspect = false,
    run_at = now() + make_interval(secs => given.seconds), log = given.log
from durably, unnest(:ids::bigint[], :attempts::integer[], :seconds::float8[], :logs::text[])
        as given(id, attempt, seconds, log),
    lateral (select ctid from v7.jobs
             where setting <> '' and id = given.id and attempt = given.attempt and worker_id = :worker_id::bigint
             offset 0) as own
where job.ctid = own.ctid and job.attempt = given.attempt and job.worker_id = :worker_id::bigint
returning job.id
