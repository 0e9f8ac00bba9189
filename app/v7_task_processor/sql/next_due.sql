-- In how many seconds the next scheduled job is due; null: none is. Called by: maintenance. Serves: jobs_scheduled.
select extract(epoch from run_at - now())::float8 from v7.jobs where status = 'scheduled' order by run_at limit 1
