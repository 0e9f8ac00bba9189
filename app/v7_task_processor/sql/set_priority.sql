-- Give a job that does not run another priority. Durable.
-- Called by: `v7 jobs priority`, POST /api/jobs/v1/{id}/priority. Locks: the row. Serves: jobs_pkey.
-- To the tail of that priority: claims go on from where they were, and look back only for positions that are new.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting)
update v7.jobs set priority = :priority::bigint,
    position = case priority when :priority::bigint then position else nextval('v7.position') end
from durably
where setting <> '' and id = :id::bigint and status <> 'running'
returning status, case status when 'queued' then pg_notify('v7', 'jobs')::text end
