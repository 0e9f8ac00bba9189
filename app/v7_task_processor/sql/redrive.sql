-- Queue dead letters again, at the tail of their priority, with their failures forgiven; a batch at a time.
-- Called by: `v7 dead redrive`. Locks: the rows it moves. Serves: jobs_dead, or jobs_pkey where ids are given.
-- Only those that died before `until`: what dies again meanwhile is not redriven in a circle. A suspect stays one.
with picked as materialized (
    select ctid, nextval('v7.position') as position from (
        select ctid from v7.jobs
        where status = 'dead' and dead_at <= :until::timestamptz
          and (:ids::bigint[] is null or id = any(:ids::bigint[]))
          and (:event_type_id::bigint is null or event_type_id = :event_type_id::bigint)
        order by dead_at, id limit :batch::integer for no key update skip locked) as ordered)
update v7.jobs as job set status = 'queued', retry_count = 0, dead_at = null, dead_reason = null,
    position = picked.position, queued_at = now()
from picked where job.ctid = picked.ctid
returning job.id
