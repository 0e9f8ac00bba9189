-- Give jobs back uncharged, to where they stood: they keep their position.
-- Called by: a worker that drains or holds more than it can start soon; the supervisor for a worker that died.
-- Locks: the rows it moves. Serves: jobs_pkey.
-- Its WHERE is the one of complete.sql, for the same reason.
-- Alone it waits for no standby: while a synchronous one is missing, a worker that gave something back would claim
-- nothing more. Where a failover takes it back, the job runs under an identity that its worker has given up.
with as_told as materialized (
    select set_config('synchronous_commit', case when :alone::boolean then 'local'
        else current_setting('synchronous_commit') end, true) as setting)
update v7.jobs set status = 'queued', worker_id = null, suspect = suspect or :suspect::boolean
where (select setting from as_told) <> '' and id = any(:ids::bigint[]) and worker_id = :worker_id::bigint
  and ((id, attempt) in (select * from unnest(:ids::bigint[], :attempts::integer[]))) is true
returning id
