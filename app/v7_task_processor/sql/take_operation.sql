-- Take an operation for one batch of it: the one that waited longest for its turn, and that no other carries out.
-- Called by: operations.step, in the transaction of the batch. Locks: the row, so that one process at a time is at it,
-- and a stop waits for the batch. Serves: operations_unfinished.
-- Whoever carries it out keeps it, until it was not at it for 5 seconds: two in turn would put twice the load on the
-- database; a clock that was set back is no sign of its being there. `id` is null, or the only one that is wanted.
update v7.operations set carried_by = :carrier::text, carried_at = clock_timestamp(), status = 'running',
    started_at = coalesce(started_at, now())
where id = (
    select id from v7.operations
    where finished_at is null and (:id::bigint is null or id = :id::bigint)
      and {known_operation}
      and (carried_by = :carrier::text or carried_at is null
           or abs(extract(epoch from clock_timestamp() - carried_at)) > 5)
    order by carried_at nulls first, id limit 1 for update skip locked)
returning id, act, filter, run_at, priority, status, seen_id, last_id, held, done, skipped
