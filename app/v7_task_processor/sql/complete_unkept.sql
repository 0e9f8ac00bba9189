-- Remove jobs that succeeded, durably, where V7_RETENTION_DAYS=0 keeps no history. Otherwise as complete.sql.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting),
done as (
    delete from v7.jobs
    where (select setting from durably) <> '' and id = any(:ids::bigint[]) and worker_id = :worker_id::bigint
      and ((id, attempt) in (select * from unnest(:ids::bigint[], :attempts::integer[]))) is true
    returning id)
select count(*) from done
