-- Forget old failures of jobs that are no more in the queue. Called by: maintenance, from the oldest on, step by step.
-- Serves: failures_failed_at. Dead letters keep theirs, which may be millions: so no more than a batch is looked at,
-- and the answer says where to go on (failed_at as text, since it may be infinite; no row: there are no more).
-- By ctid and with offset 0 (which looks jobs up one by one): whatever the planner believes, it joins no tables.
with looked as materialized (
    select ctid, id, job_id, failed_at from v7.failures
    where failed_at >= :after::timestamptz and (failed_at, id) > (:after::timestamptz, :after_id::bigint)
      and failed_at < now() - make_interval(days => :retention_days::integer)
    order by failed_at, id limit :batch::integer),
pruned as (
    delete from v7.failures where ctid = any(array(
        select ctid from v7.failures where ctid = any(array(
            select ctid from looked where not exists (select from v7.jobs where jobs.id = looked.job_id offset 0)))
        for update skip locked)))
select failed_at::text, id from looked order by failed_at desc, id desc limit 1
