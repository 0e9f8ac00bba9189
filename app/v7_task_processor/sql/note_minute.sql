-- Note what all processes have counted, once for each minute, and forget what is two days old. No row: it is noted.
-- Called by: maintenance and API processes, every few seconds; of two at once one does it. Locks: the rows that it
-- writes. Serves: minutes_pkey, metrics_pkey (the table has a row for each process), event_types_created_at.
-- Totals, not differences: they need no word about who counted what since, and none is lost where a minute is missed.
-- Types without a label of their own are `other`, as in fold_counts.sql, or one row could grow without end; and what
-- types did is kept for two hours only, since it is large and nobody asks for more.
with fresh as materialized (
    select date_trunc('minute', clock_timestamp(), 'UTC') as minute
    where not exists (
        select from v7.minutes where minute = date_trunc('minute', clock_timestamp(), 'UTC'))),
named as materialized ({named_types}),
series as (
    select split_part(key, '|', 1) as name, split_part(key, '|', 3) as other,
        case when split_part(key, '|', 2) = '' or (select count(*) from named) < :types_max::integer
                  or split_part(key, '|', 2) in (select label from named) then split_part(key, '|', 2)
             else 'other' end as label,
        place, number::float8 as number
    from fresh, v7.metrics, jsonb_each(counts) as each(key, numbers),
        jsonb_array_elements_text(numbers) with ordinality as given(number, place)
    where split_part(key, '|', 1) = any(:families::text[])),
summed as (
    select name, label, other, place, sum(number) as number from series group by name, label, other, place),
lists as (
    select name || '|' || label || '|' || other as key, jsonb_agg(number order by place) as numbers
    from summed where label <> '' group by name, label, other),
forgotten as (
    delete from v7.minutes
    where exists (select from fresh) and minute < clock_timestamp() - interval '2 days'),
thinned as (
    update v7.minutes set counts = null
    where exists (select from fresh) and counts is not null
      and minute between clock_timestamp() - interval '2 days' and clock_timestamp() - interval '2 hours')
insert into v7.minutes (minute, received, succeeded, failed, dead, retried, counts)
select fresh.minute, totals.*, coalesce((select jsonb_object_agg(key, numbers) from lists), '{}')
from fresh, (
    select
        coalesce(sum(number) filter (where name = :received_family::text), 0),
        coalesce(sum(number) filter (where name = :attempts_family::text and other = 'succeeded'), 0),
        coalesce(sum(number) filter (where name = :attempts_family::text and other = any(:failed_outcomes::text[])), 0),
        coalesce(sum(number) filter (where name = :dead_family::text), 0),
        coalesce(sum(number) filter (where name = :retried_family::text), 0)
    from summed) as totals
on conflict (minute) do nothing
returning minute
