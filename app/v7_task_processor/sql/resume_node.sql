-- Let a node take jobs again. Called by: `v7 workers resume` and the management. Locks: the node's row. Serves:
-- workers_pkey. Tells all workers. No row: there is no such node.
with resumed as (
    update v7.workers set drained_at = null, drained_by = null
    where id = :node_id::bigint and node_id is null
    returning id)
select resumed.*, pg_notify('v7', 'nodes')::text from resumed
