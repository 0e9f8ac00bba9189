-- Forget old failures of jobs that are no more in the queue, a batch at a time. Serves: failures_failed_at.
-- By ctid and with offset 0 (which looks jobs up one by one): whatever the planner believes, it joins no tables.
delete from v7.failures where ctid = any(array(
    select ctid from v7.failures
    where failed_at < now() - make_interval(days => :retention_days::integer)
      and not exists (select from v7.jobs where jobs.id = failures.job_id offset 0)
    order by failed_at limit :batch::integer for update skip locked))
returning id
