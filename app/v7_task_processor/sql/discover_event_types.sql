-- Make the rows of types that came by SQL and that no worker has met. Called by: maintenance.
-- Serves: jobs_queue_by_type, one descent for each type (a loose index scan), however many jobs are queued.
with recursive types(event_type_id) as (
    (select event_type_id from v7.jobs where status = 'queued' and not suspect order by event_type_id limit 1)
    union all
    select (select event_type_id from v7.jobs
            where status = 'queued' and not suspect and jobs.event_type_id > types.event_type_id
            order by event_type_id limit 1)
    from types where types.event_type_id is not null)
insert into v7.event_types (event_type_id)
select event_type_id from types where event_type_id is not null order by event_type_id
on conflict do nothing
returning event_type_id
