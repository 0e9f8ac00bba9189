-- Let a type's jobs wait; make its row if it has none yet. Called by: `v7 types pause`. Tells all workers.
with paused as (
    insert into v7.event_types as type (event_type_id, paused_at, paused_by)
    values (:event_type_id::bigint, now(), :paused_by::text)
    on conflict (event_type_id) do update set
        paused_at = coalesce(type.paused_at, excluded.paused_at),
        paused_by = coalesce(type.paused_by, excluded.paused_by)
    returning event_type_id, paused_at, paused_by)
select paused.*, pg_notify('v7', 'types')::text from paused
