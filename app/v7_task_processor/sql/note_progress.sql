-- How far an operation is, in the transaction of its batch: so what was done is counted once, whatever ends its
-- process. Called by: operations.step. Locks: the row, which take_operation.sql has locked. Serves: operations_pkey.
-- The audit hears how many they were when it ends. That it was put off is over by now.
with noted as (
    update v7.operations set seen_id = :seen_id::bigint, held = :held::bigint[], done = done + :done::bigint,
        skipped = skipped + :skipped::bigint, carried_at = clock_timestamp(),
        error = coalesce(:error::text, case when not starts_with(error, 'Put off, to be tried again: ') then error end),
        status = case when :seen_id::bigint >= last_id and :held::bigint[] = '{}' then 'done' else status end,
        finished_at = case when :seen_id::bigint >= last_id and :held::bigint[] = '{}' then clock_timestamp() end
    where id = :id::bigint
    returning *),
told as (
    update v7.audit set jobs = noted.done from noted
    where audit.operation_id = noted.id and audit.act = noted.act and noted.finished_at is not null)
select id, act, filter, run_at, priority, status, seen_id, last_id, held, done, skipped from noted
