-- Set one job running as claims do, to see whether Postgres refuses it: the changes and the answer are claim.sql's.
-- Called by: a worker whose claim was refused, which has just locked the row, and takes all of it back.
-- Locks: the row. Serves: the primary key.
update v7.jobs set {set_running}
where id = :id::bigint
returning {claimed_job}
