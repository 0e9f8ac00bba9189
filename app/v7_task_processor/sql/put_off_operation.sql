-- Let others have their turn before an operation whose batch could not be done just now, and say why it stands still.
-- Called by: operations.step, after the batch was undone. Locks: the row. Serves: operations_pkey.
-- note_progress.sql takes that word back. No row: it was stopped meanwhile.
update v7.operations set carried_by = :carrier::text, carried_at = clock_timestamp(),
    error = 'Put off, to be tried again: ' || :error::text
where id = :id::bigint and finished_at is null
  and (carried_by is null or carried_by = :carrier::text or abs(extract(epoch from clock_timestamp() - carried_at)) > 5)
returning id
