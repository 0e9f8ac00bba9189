-- Let a node take no more jobs; what it runs is finished. Called by: `v7 workers drain` and the management, and by a
-- supervisor that takes a new identity while it is drained. Locks: the node's row. Serves: workers_pkey. Tells all
-- workers. No row: there is no such node.
with drained as (
    update v7.workers set
        drained_at = coalesce(drained_at, now()),
        drained_by = coalesce(drained_by, :drained_by::text)
    where id = :node_id::bigint and node_id is null
    returning id, drained_at)
select drained.*, pg_notify('v7', 'nodes')::text from drained
