-- Enter a node (no node_id), or a worker of a node that is still registered. No row: the node was rescued.
insert into v7.workers (node_id, name, pid, token, version, concurrency, event_type_ids)
select :node_id::bigint, :name::text, :pid::integer, :token::text, :version::text, :concurrency::integer,
    :event_type_ids::bigint[]
where :node_id::bigint is null or exists (select from v7.workers where id = :node_id::bigint and node_id is null)
returning id
