-- Give jobs back uncharged, to where they stood: they keep their position.
-- Called by: a worker that drains or holds more than it can start soon; the supervisor for a worker that died.
-- Locks: the rows it moves. Serves: jobs_pkey.
update v7.jobs as job set status = 'queued', worker_id = null, suspect = job.suspect or given.suspect
from unnest(:ids::bigint[], :attempts::integer[], :suspects::boolean[]) as given(id, attempt, suspect)
where job.id = given.id and job.attempt = given.attempt and job.worker_id = :worker_id::bigint
returning job.id
