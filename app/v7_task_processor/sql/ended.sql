-- What ended since a moment, by the newest so many rows of each table. Called by: the overview.
-- Serves: finished_jobs_finished_at, failures_failed_at.
select finished.jobs, finished.succeeded, finished.earliest, failed.attempts
from (select count(*) as jobs, count(*) filter (where status = 'succeeded') as succeeded, min(finished_at) as earliest
      from (select status, finished_at from v7.finished_jobs where finished_at > :begin::timestamptz
            order by finished_at desc limit :at_most::bigint) as newest) as finished,
    (select count(*) as attempts
     from (select failed_at from v7.failures where failed_at > :begin::timestamptz
           order by failed_at desc limit :at_most::bigint) as newest) as failed
