-- Whether a suspect waits that this node could run. Called by: the supervisor. Serves: jobs_suspect.
select exists (
    select from v7.jobs where status = 'queued' and suspect
      and (:serves_all::boolean or event_type_id = any(:open_types::bigint[]))
      and event_type_id not in (select event_type_id from v7.event_types where paused_at is not null))
