-- End an operation before it is through: stopped by somebody, or failed with an error. Durable.
-- Called by: `v7 operations stop`, POST /api/operations/v1/{id}/stop, and operations.step where a batch cannot be done.
-- Locks: the row; it waits for the batch that is at work. Serves: operations_pkey. No row: it had ended, or never was.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
ended as (
    update v7.operations set status = :status::text, error = coalesce(:error::text, error),
        finished_at = clock_timestamp()
    from durably
    where setting <> '' and id = :id::bigint and finished_at is null
    returning operations.*),
told as (
    update v7.audit set jobs = ended.done from ended
    where audit.operation_id = ended.id and audit.act = ended.act)
select id, act, filter, run_at, priority, status, seen_id, last_id, held, done, skipped from ended
