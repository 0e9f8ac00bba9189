-- Say that a node lives, and hear who has drained it. No row: others have given it up. Called by: its supervisor, on a
-- connection of its own.
update v7.workers set heartbeat_at = clock_timestamp() where id = :node_id::bigint
returning heartbeat_at, drained_by
