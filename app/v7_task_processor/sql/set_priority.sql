-- Give jobs that do not run another priority. Durable.
-- Called by: `v7 jobs priority`, POST /api/jobs/v1/{id}/priority, operations. Locks: the rows. Serves: jobs_pkey.
-- To the tail of that priority, in the order of their ids: claims go on from where they were, and look back only for
-- positions that are new.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
picked as materialized (
    select id, case priority when :priority::bigint then position else nextval('v7.position') end as position from (
        select id, priority, position from v7.jobs
        where (select setting from durably) <> '' and id = any(:ids::bigint[]) and status = any(:statuses::text[])
        order by id for no key update) as ordered)
update v7.jobs as job set priority = :priority::bigint, position = picked.position
from picked where job.id = picked.id
returning status, case when status = 'queued' then pg_notify('v7', 'jobs')::text end
