-- Take a lost node from the register, if its beat still stands where it was watched to stand; answer its workers.
-- Called by: another node's supervisor. One of several rescuers gets the row, the others none.
with gone as materialized (
    select id from v7.workers
    where id = :node_id::bigint and heartbeat_at = :heartbeat_at::timestamptz for update skip locked),
its_workers as materialized (
    select array(select workers.id from v7.workers join gone on workers.node_id = gone.id) as ids),
deleted as (delete from v7.workers using gone where workers.id = gone.id returning workers.id)
select its_workers.ids from its_workers, deleted
