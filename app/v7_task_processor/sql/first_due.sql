-- The job that promote.sql would queue first: where Postgres refuses to, the one to pass over.
-- Called by: maintenance. Serves: jobs_scheduled.
select id from v7.jobs
where status = 'scheduled' and run_at <= now() and id <> all(:passed_over::bigint[])
order by run_at limit 1 for no key update skip locked
