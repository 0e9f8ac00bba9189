-- Give back, uncharged, jobs that run under a worker whose row is gone: a claim that committed beside its rescue.
-- Called by: maintenance, each second, so that such a job waits a second and not for ever. Serves: jobs_running.
with orphans as materialized (
    select ctid from v7.jobs
    where status = 'running' and not exists (select from v7.workers where workers.id = jobs.worker_id)
    limit :batch::integer for no key update skip locked)
update v7.jobs set status = 'queued', worker_id = null where ctid = any(array(select ctid from orphans))
returning id
