-- How far an operation is. Called by: commands that wait for one which a node carries out. Serves: operations_pkey.
select id, act, filter, run_at, priority, status, seen_id, last_id, held, done, skipped
from v7.operations where id = :id::bigint
