-- Let a job that waits, wait until another time. A time that is past makes it due: it is promoted. Durable.
-- Called by: `v7 jobs reschedule`, POST /api/jobs/v1/{id}/reschedule. Locks: the row. Serves: jobs_pkey.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting)
update v7.jobs set status = 'scheduled', run_at = :run_at::timestamptz
from durably
where setting <> '' and id = :id::bigint and status in ('scheduled', 'queued')
returning id
