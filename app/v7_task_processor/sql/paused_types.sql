-- The types that are paused, so many at most. Called by: the overview. Serves: event_types_pkey.
select event_type_id from v7.event_types where paused_at is not null order by event_type_id limit :at_most::bigint
