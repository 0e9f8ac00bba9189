-- Whether the history has its partition for tomorrow: without one, no job can be completed after midnight (UTC).
-- Called by: the API's readiness. Locks: nothing.
select to_regclass('v7.finished_jobs_' || to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD')) is not null
