-- Remove jobs that succeeded, durably, where V7_RETENTION_DAYS=0 keeps no history. Otherwise as complete.sql.
with durably as materialized (select set_config('synchronous_commit', 'on', true) as setting),
done as (
    delete from v7.jobs as job using durably, unnest(:ids::bigint[], :attempts::integer[]) as given(id, attempt)
    where setting = 'on' and job.id = given.id and job.attempt = given.attempt
      and job.worker_id = :worker_id::bigint
    returning job.id)
select count(*) from done
