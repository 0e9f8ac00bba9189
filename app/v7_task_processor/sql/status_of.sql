-- Where a job stands, for whoever is told that something cannot be done with it. Serves: jobs_pkey, finished_jobs_id.
select status from v7.all_jobs where id = :id::bigint limit 1
