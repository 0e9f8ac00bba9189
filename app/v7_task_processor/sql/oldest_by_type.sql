-- Of each of these types with queued jobs since when the oldest waits, and whether one may wait longer.
-- Called by: the overview, the list of types, metrics. Serves: jobs_queue_by_type, jobs_suspect.
-- Within a type and a priority the oldest is the first in the queue's order. So this steps from one priority to the
-- next (a loose index scan), of each type by itself: what one has is in no other's way. Of a type with more priorities
-- than so many it looks at as many from the end, too: there waits what others are preferred to again and again.
-- Its conditions begin with the type and are no equations, or it could be planned by jobs_queue: through all that comes
-- before a type's first.
-- Whoever adds a row by hand may have said nothing of queued_at.
with recursive first as (
    select asked.id as event_type_id, found.priority, found.queued_at, 1 as nth
    from unnest(:event_type_ids::bigint[]) as asked(id) cross join lateral (
        select event_type_id, priority, coalesce(queued_at, created_at) as queued_at from v7.jobs
        where status = 'queued' and not suspect and event_type_id >= asked.id
        order by event_type_id, priority, position limit 1) as found
    where found.event_type_id = asked.id
    union all
    select first.event_type_id, found.priority, found.queued_at, first.nth + 1
    from first cross join lateral (
        select event_type_id, priority, coalesce(queued_at, created_at) as queued_at from v7.jobs
        where status = 'queued' and not suspect and (event_type_id, priority) > (first.event_type_id, first.priority)
        order by event_type_id, priority, position limit 1) as found
    where first.nth < :priorities_max::integer and found.event_type_id = first.event_type_id),
last as (
    select event_type_id, 9223372036854775807 as priority, 9223372036854775807 as position, 0 as nth, priority as seen
    from first where nth = :priorities_max::integer
    union all
    select last.event_type_id, found.priority, '-9223372036854775808'::bigint, last.nth + 1, last.seen
    from last cross join lateral (
        select event_type_id, priority from v7.jobs
        where status = 'queued' and not suspect
          and (event_type_id, priority, position) < (last.event_type_id, last.priority, last.position)
        order by event_type_id desc, priority desc, position desc limit 1) as found
    where last.nth < :priorities_max::integer
      and found.event_type_id = last.event_type_id and found.priority > last.seen)
select event_type_id, min(queued_at), bool_or(may_be_older) from (
    select event_type_id, queued_at, false as may_be_older from first
    union all
    select last.event_type_id, found.queued_at, last.nth = :priorities_max::integer
    from last cross join lateral (
        select coalesce(queued_at, created_at) as queued_at from v7.jobs
        where status = 'queued' and not suspect and (event_type_id, priority) >= (last.event_type_id, last.priority)
        order by event_type_id, priority, position limit 1) as found
    where last.nth > 0
    union all
    select event_type_id, queued_at, false from (
        select event_type_id, coalesce(queued_at, created_at) as queued_at from v7.jobs
        where status = 'queued' and suspect
        order by priority, position limit :suspects_max::bigint) as suspects
    where event_type_id = any(:event_type_ids::bigint[])) as each
group by event_type_id order by event_type_id
