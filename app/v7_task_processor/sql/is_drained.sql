-- Whether a node is to take nothing. Called by: its workers, when they are told of a change and each second. Serves:
-- workers_pkey.
select drained_at is not null from v7.workers where id = :node_id::bigint
