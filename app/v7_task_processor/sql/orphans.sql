-- Jobs that run under a worker whose row is gone, to be given back: a claim that committed beside its rescue.
-- Called by: maintenance, every other second, so that such a job does not wait for ever. Serves: jobs_running.
-- Those that somebody has locked wait until he lets go, and keep nobody else.
select worker_id, id, attempt from v7.jobs
where status = 'running' and not exists (select from v7.workers where workers.id = jobs.worker_id)
  and id <> all(:passed_over::bigint[])
limit :batch::integer for no key update of jobs skip locked
