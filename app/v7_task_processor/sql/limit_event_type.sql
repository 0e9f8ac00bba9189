-- Let not more than so many of a type's jobs run at once (null: any number); make its row if it has none yet.
-- Called by: `v7 types limit`, PUT /api/event-types/v1/{id}/limit. Tells all workers.
with limited as (
    insert into v7.event_types as type (event_type_id, concurrency_limit)
    values (:event_type_id::bigint, :concurrency_limit::integer)
    on conflict (event_type_id) do update set concurrency_limit = excluded.concurrency_limit
    returning event_type_id)
select limited.*, pg_notify('v7', 'types')::text from limited
