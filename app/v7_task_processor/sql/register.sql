-- Enter a node (no node_id), or a worker of a node that is still registered. No row: the node was rescued.
-- Called by: supervisors and workers, and by each worker again after a connection of its broke.
-- On this server's disk, whatever its default: the id is part of the fence, and a crash that takes it back lets it be
-- given out twice. No standby is waited for: while a synchronous one is missing, nodes could not start or come back.
with locally as materialized (select set_config('synchronous_commit', 'local', true) as setting)
insert into v7.workers (node_id, name, pid, token, version, concurrency, event_type_ids)
select :node_id::bigint, :name::text, :pid::integer, :token::text, :version::text, :concurrency::integer,
    :event_type_ids::bigint[]
from locally
where setting = 'local'
  and (:node_id::bigint is null or exists (select from v7.workers where id = :node_id::bigint and node_id is null))
returning id
