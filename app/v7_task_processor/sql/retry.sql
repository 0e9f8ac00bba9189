-- Queue a job now, at the tail of its priority: one that waits for its time, or a dead one, its failures forgiven.
-- Durable. Called by: `v7 jobs retry` and `redrive`, POST /api/jobs/v1/{id}/retry and /redrive.
-- Locks: the row. Serves: jobs_pkey. Of several callers, and of promote.sql beside them, one finds it.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting)
update v7.jobs set status = 'queued', run_at = null, dead_at = null, dead_reason = null,
    retry_count = case status when 'dead' then 0 else retry_count end,
    position = nextval('v7.position'), queued_at = now()
from durably
where setting <> '' and id = :id::bigint and status = any(:statuses::text[])
returning id, pg_notify('v7', 'jobs')::text
