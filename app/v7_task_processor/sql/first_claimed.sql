-- Of each of these workers the jobs that it took first; of so many that it holds.
-- Called by: v7 workers, the API, the dashboard. Serves: jobs_running.
-- Who writes to the table may have emptied claimed_at: it was not taken before it came.
select asked.id, first.id, first.event_type_id, first.attempt, first.claimed_at
from unnest(:worker_ids::bigint[]) as asked(id) cross join lateral (
    select * from (
        select id, event_type_id, attempt, coalesce(claimed_at, created_at) as claimed_at from v7.jobs
        where status = 'running' and worker_id = asked.id limit :at_most::bigint) as own
    order by claimed_at, id limit :shown::bigint) as first
