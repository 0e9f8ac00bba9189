-- Keep what one process has counted so far, in a row of its own: written twice, it counts once.
-- Called by: each process, every few seconds, on a connection for its chores. Locks: its row. Serves: metrics_pkey.
-- `first`: there is no row yet. Else no row in the answer means that fold_counts.sql has taken it.
-- No standby is waited for: while a synchronous one is missing, that is when one wants to see metrics.
with locally as materialized (select set_config('synchronous_commit', 'local', true) as setting),
kept as (
    update v7.metrics set counts = :counts::jsonb, written_at = clock_timestamp()
    from locally where setting = 'local' and source = :source::uuid
    returning source),
made as (
    insert into v7.metrics (source, counts)
    select :source::uuid, :counts::jsonb from locally
    where setting = 'local' and :first::boolean and not exists (select from kept)
    on conflict (source) do update set counts = excluded.counts, written_at = clock_timestamp()
    returning source)
select source from kept union all select source from made
