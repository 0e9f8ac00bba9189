-- Make the rows of types that came by SQL and that no worker has met. Called by: maintenance, step by step.
-- Serves: jobs_queue_by_type, one descent for each type (a loose index scan), however many jobs are queued. Somebody
-- may send millions of types: no more than a batch is looked at. It answers with which to go on; null: it saw all.
with recursive types(event_type_id, nth) as (
    (select event_type_id, 1 from v7.jobs
     where status = 'queued' and not suspect and event_type_id >= :first::bigint
     order by event_type_id limit 1)
    union all
    select (select event_type_id from v7.jobs
            where status = 'queued' and not suspect and jobs.event_type_id > types.event_type_id
            order by event_type_id limit 1), nth + 1
    from types where types.event_type_id is not null and nth <= :batch::integer),
made as (
    insert into v7.event_types (event_type_id)
    select event_type_id from types where event_type_id is not null and nth <= :batch::integer order by event_type_id
    on conflict do nothing)
select (select event_type_id from types where nth > :batch::integer)
