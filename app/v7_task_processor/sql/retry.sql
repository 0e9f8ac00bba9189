-- Queue jobs now, at the tail of their priority: those that wait for their time, or dead ones, their failures
-- forgiven. Durable. Called by: `v7 jobs retry` and `redrive`, POST /api/jobs/v1/{id}/retry and /redrive, operations.
-- Locks: the rows, and waits for them. Serves: jobs_pkey. Of several callers, and of promote.sql beside them, one finds
-- a job. In the order of their ids, which is that in which they came. A suspect stays one.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
picked as materialized (
    select id, nextval('v7.position') as position from (
        select id from v7.jobs
        where (select setting from durably) <> '' and id = any(:ids::bigint[]) and status = any(:statuses::text[])
        order by id for no key update) as ordered)
update v7.jobs as job set status = 'queued', run_at = null, dead_at = null, dead_reason = null,
    retry_count = case status when 'dead' then 0 else retry_count end,
    position = picked.position, queued_at = now()
from picked where job.id = picked.id
returning job.id, pg_notify('v7', 'jobs')::text
