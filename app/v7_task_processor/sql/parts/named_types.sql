-- The event types with a label of their own: those that came first. Where it stands: named_types, fold_counts,
-- note_minute. Serves: event_types_created_at.
select event_type_id::text as label from v7.event_types
order by created_at, event_type_id limit :types_max::integer
