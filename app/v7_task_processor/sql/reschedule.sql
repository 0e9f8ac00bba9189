-- Let jobs that wait, wait until another time. A time that is past makes them due: they are promoted. Durable.
-- Called by: `v7 jobs reschedule`, POST /api/jobs/v1/{id}/reschedule, operations. Locks: the rows. Serves: jobs_pkey.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting)
update v7.jobs set status = 'scheduled', run_at = :run_at::timestamptz
from durably
where setting <> '' and id = any(:ids::bigint[]) and status = any(:statuses::text[])
returning id
