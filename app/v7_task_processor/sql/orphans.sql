-- Jobs that run under a worker whose row is gone, to be given back: a claim that committed beside its rescue.
-- Called by: maintenance, each second, so that such a job waits a second and not for ever. Serves: jobs_running.
select worker_id, id, attempt from v7.jobs
where status = 'running' and not exists (select from v7.workers where workers.id = jobs.worker_id)
  and id <> all(:passed_over::bigint[])
limit :batch::integer
