-- Queue scheduled jobs that are due, at the tail of their priority, in the order in which they came due.
-- Called by: maintenance, on each node; two at once pass over each other's rows. Serves: jobs_scheduled.
-- By ctid, since the rows were just locked, and for the reason that fail.sql gives.
with due as materialized (
    select ctid, nextval('v7.position') as position from (
        select ctid from v7.jobs
        where status = 'scheduled' and run_at <= now() and id <> all(:passed_over::bigint[])
        order by run_at, position limit :batch::integer for no key update skip locked) as ordered)
update v7.jobs as job set status = 'queued', run_at = null, position = due.position, queued_at = now()
from due where job.ctid = due.ctid
returning job.id
