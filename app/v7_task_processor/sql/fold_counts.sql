-- Add the counts of processes that have written nothing for a while to those of all ended ones. How many these were.
-- Called by: maintenance. Locks: the sum's row first, so that of two at once the second sees what the first made of
-- it; then the rows that it takes. Serves: metrics_pkey
-- (the table has a row for each process), event_types_created_at.
-- A process that wakes up after that finds its row gone, and goes on in another from zero: nothing is counted twice.
-- Types without a label of their own become `other` here, or the sum would grow with every type there ever was.
with locked as materialized (
    select counts from v7.metrics where source = '00000000-0000-0000-0000-000000000000' for update),
named as materialized ({named_types}),
ended as (
    delete from v7.metrics
    where exists (select from locked) and source <> '00000000-0000-0000-0000-000000000000'
      and written_at < clock_timestamp() - make_interval(secs => :idle_seconds::float8)
    returning counts),
series as (
    select case when split_part(key, '|', 2) = '' or (select count(*) from named) < :types_max::integer
                  or split_part(key, '|', 2) in (select label from named) then key
                else split_part(key, '|', 1) || '|other|' || split_part(key, '|', 3) end as key,
        place, number::float8 as number
    from (select counts from locked union all select counts from ended) as all_counts,
        jsonb_each(counts) as each(key, numbers),
        jsonb_array_elements_text(numbers) with ordinality as given(number, place)),
summed as (select key, place, sum(number) as number from series group by key, place),
folded as (
    select jsonb_object_agg(key, numbers) as counts
    from (select key, jsonb_agg(number order by place) as numbers from summed group by key) as lists)
update v7.metrics set counts = folded.counts, written_at = clock_timestamp() from folded
where source = '00000000-0000-0000-0000-000000000000' and exists (select from ended)
returning (select count(*) from ended)
