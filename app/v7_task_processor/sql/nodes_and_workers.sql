-- Nodes and workers, and how many jobs each worker has claimed. Called by: whoever shows them. Serves: jobs_running.
-- Its columns are those of overview.workers.Registered, in their order.
select workers.id, node_id, name, pid, version, concurrency, event_type_ids, started_at, heartbeat_at, drained_at,
    drained_by, timeouts, coalesce(held.jobs, 0)
from v7.workers left join (
    select worker_id, count(*) as jobs from (
        select worker_id from v7.jobs where status = 'running' limit :at_most::bigint) as taken
    group by worker_id) as held on held.worker_id = workers.id
order by workers.id
