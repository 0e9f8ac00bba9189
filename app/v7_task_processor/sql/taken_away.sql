-- Which of these attempts are their worker's no more: cancelled, or rescued by others.
-- Called by: each worker, each second and when it is told of a cancel, for what it runs. Serves: jobs_pkey.
-- With offset 0 each is looked up by itself, whatever the planner believes.
select given.id, given.attempt, given.worker_id
from unnest(:ids::bigint[], :attempts::integer[], :worker_ids::bigint[]) as given(id, attempt, worker_id)
where not exists (select from v7.jobs where jobs.id = given.id and jobs.attempt = given.attempt
                  and jobs.worker_id = given.worker_id offset 0)
