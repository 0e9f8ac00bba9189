-- Types whose jobs wait. Called by: workers, when they are told of a change and each second.
select event_type_id from v7.event_types where paused_at is not null order by event_type_id
