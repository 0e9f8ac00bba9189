-- The workers of a node. Called by: a supervisor, for one that died or for a node that is lost.
select id, pid, name from v7.workers
where node_id = :node_id::bigint and (:pid::integer is null or pid = :pid::integer)
