-- Whether a suspect waits that this node could run now. Called by: the supervisor, each second or two.
-- Serves: jobs_suspect, jobs_running, event_types_limited.
-- None of a type that is full, counted as claim_suspect.sql does: it would be a process started in vain, every few
-- seconds. When room comes, claim_limited.sql leaves it until the next look. Without suspects nothing is counted.
with {full_types}
select exists (
    select from v7.jobs where status = 'queued' and suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id not in (select event_type_id from v7.event_types where paused_at is not null)
      and event_type_id not in (select event_type_id from full_types))
