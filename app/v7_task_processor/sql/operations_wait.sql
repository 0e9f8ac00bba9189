-- Whether there are operations that nobody carries out, and that this release may. Called by: the chores.
-- Serves: operations_unfinished.
select exists (
    select from v7.operations
    where finished_at is null and (carried_at is null or carried_at < clock_timestamp() - interval '5 s')
      and {known_operation})
