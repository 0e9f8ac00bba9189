-- Queue scheduled jobs that are due, at the tail of their priority, in the order in which they came due.
-- Called by: maintenance, on each node; two at once pass over each other's rows. Serves: jobs_scheduled.
-- Those of one batch that came due at the same time stand in the order of their positions. To find the first of them
-- all would be to read all for each batch, and an operation may have put off ten million to one time: of more than a
-- batch those come first that the index has first, by their place in the table.
-- By ctid, since the rows were just locked, and for the reason that fail.sql gives.
with taken as materialized (
    select ctid, run_at, position from v7.jobs
    where status = 'scheduled' and run_at <= now() and id <> all(:passed_over::bigint[])
    order by run_at limit :batch::integer for no key update skip locked),
due as materialized (
    select ctid, nextval('v7.position') as position from (
        select ctid from taken order by run_at, position) as ordered)
update v7.jobs as job set status = 'queued', run_at = null, position = due.position, queued_at = now()
from due where job.ctid = due.ctid
returning job.id
