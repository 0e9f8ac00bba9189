-- Whether there are operations that nobody carries out, and that this release may. Called by: the chores.
-- Serves: operations_unfinished.
select exists (
    select from v7.operations
    where finished_at is null and (carried_at is null or abs(extract(epoch from clock_timestamp() - carried_at)) > 5)
      and {known_operation})
