-- The suspect that a lone worker would take: where Postgres refuses to set it running, the one to pass over.
-- Called by: a lone worker whose claim was refused, in a transaction in which it then tries it. Locks: that row.
-- Serves: jobs_suspect, jobs_running, event_types_limited. As claim_suspect.sql, but it changes nothing and reads no
-- event_data, which may be what is broken.
with {full_types}
select id, position from v7.jobs
where status = 'queued' and suspect
  and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
  and event_type_id <> all(:closed_types::bigint[])
  and event_type_id not in (select event_type_id from full_types)
  and position <> all(:passed_over::bigint[])
order by priority, position limit 1 for no key update skip locked
