-- Forget old failures of jobs that are no more in the queue, a batch at a time. Serves: failures_failed_at.
-- offset 0: jobs are looked up one by one, whatever the planner believes of their number.
delete from v7.failures where id in (
    select failures.id from v7.failures
    where failed_at < now() - make_interval(days => :retention_days::integer)
      and not exists (select from v7.jobs where jobs.id = failures.job_id offset 0)
    order by failed_at limit :batch::integer for update skip locked)
returning id
