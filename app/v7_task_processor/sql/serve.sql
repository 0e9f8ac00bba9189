-- Note which types a node's handlers serve (null: all), so that others can tell what no one serves, and how long they
-- may take. No standby is waited for, as in register.sql.
with locally as materialized (select set_config('synchronous_commit', 'local', true) as setting)
update v7.workers set event_type_ids = :event_type_ids::bigint[], timeouts = :timeouts::jsonb
from locally where setting = 'local' and id = :node_id::bigint
returning id
