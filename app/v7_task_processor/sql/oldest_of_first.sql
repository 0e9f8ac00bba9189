-- Since when the oldest of the queued jobs with the lowest ids waits. Called by: the overview. Serves: jobs_pkey.
select min(queued_at) filter (where status = 'queued') from (
    select status, queued_at from v7.jobs order by id limit :at_most::bigint) as head
