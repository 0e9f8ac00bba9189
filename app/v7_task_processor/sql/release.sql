-- Give jobs back uncharged, to where they stood: they keep their position.
-- Called by: a worker that drains or holds more than it can start soon; the supervisor for a worker that died.
-- Locks: the rows it moves. Serves: jobs_pkey.
-- Its WHERE is the one of complete.sql, for the same reason.
update v7.jobs set status = 'queued', worker_id = null, suspect = suspect or :suspect::boolean
where id = any(:ids::bigint[]) and worker_id = :worker_id::bigint
  and ((id, attempt) in (select * from unnest(:ids::bigint[], :attempts::integer[]))) is true
returning id
