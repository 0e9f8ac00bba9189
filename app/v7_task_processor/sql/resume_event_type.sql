-- Let a type's jobs run. Called by: `v7 types resume`. Tells all workers. No row: there is no such type.
with resumed as (
    update v7.event_types set paused_at = null, paused_by = null where event_type_id = :event_type_id::bigint
    returning event_type_id)
select resumed.*, pg_notify('v7', 'types')::text from resumed
