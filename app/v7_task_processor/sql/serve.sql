-- Note which types a node's handlers serve (null: all), so that others can tell what no one serves.
update v7.workers set event_type_ids = :event_type_ids::bigint[] where id = :node_id::bigint
returning id
