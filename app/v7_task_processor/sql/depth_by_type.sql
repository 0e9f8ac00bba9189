-- How many jobs of each of these types stand in the plain queue, so many of each at most. Called by: the
-- list of types, metrics. Serves: jobs_queue_by_type, which is enough where vacuum has been: no column is read that it
-- has not.
select asked.id, counted.jobs
from unnest(:event_type_ids::bigint[]) as asked(id) cross join lateral (
    select count(*) as jobs from (
        select event_type_id from v7.jobs
        where status = 'queued' and not suspect and event_type_id = asked.id
        order by priority, position limit :at_most::bigint) as own) as counted
