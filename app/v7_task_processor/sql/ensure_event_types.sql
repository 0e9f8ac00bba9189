-- Make the rows of event types that have none. Called by: API and workers at a type's first event, on a
-- connection of its own and sorted: inside a sender's long transaction it would block every other first event.
insert into v7.event_types (event_type_id)
select distinct id from unnest(:event_type_ids::bigint[]) as given(id) order by id
on conflict do nothing
returning event_type_id
