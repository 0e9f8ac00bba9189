-- Every node and its last beat, to be watched: whoever sees a beat stand still for long enough rescues.
select id, token, heartbeat_at from v7.workers where node_id is null
