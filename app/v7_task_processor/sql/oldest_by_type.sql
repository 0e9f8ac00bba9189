-- Of each type with jobs in the plain queue since when the oldest waits, and whether one may wait longer.
-- Called by: the overview. Serves: jobs_queue_by_type.
-- Within a type and a priority the oldest is the first in the queue's order. So this steps from one priority to the
-- next (a loose index scan), over so many of a type, and so many in all.
with recursive steps as (
    (select event_type_id, priority, queued_at, 1 as nth, 1 as step from v7.jobs
     where status = 'queued' and not suspect and (:after::bigint is null or event_type_id > :after::bigint)
     order by event_type_id, priority, position limit 1)
    union all
    select following.event_type_id, following.priority, following.queued_at,
        case when following.event_type_id = steps.event_type_id then steps.nth + 1 else 1 end, steps.step + 1
    from steps cross join lateral (
        select event_type_id, priority, queued_at from v7.jobs
        where status = 'queued' and not suspect and (event_type_id, priority) > (steps.event_type_id,
            case when steps.nth >= :priorities_max::integer then 9223372036854775807 else steps.priority end)
        order by event_type_id, priority, position limit 1) as following
    where steps.step < :steps_max::integer)
select event_type_id, min(queued_at),
    max(nth) >= :priorities_max::integer or max(step) >= :steps_max::integer
from steps group by event_type_id order by event_type_id
