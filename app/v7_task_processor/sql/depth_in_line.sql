-- How many jobs stand in the plain queue, so many at most. Called by: the overview. Serves: jobs_queue, which is enough
-- where vacuum has been.
select count(*) from (
    select priority, position from v7.jobs where status = 'queued' and not suspect
    order by priority, position limit :at_most::bigint) as head
