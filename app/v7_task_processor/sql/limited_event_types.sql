-- Types of which not more than so many jobs run at once. Called by: workers, when they are told of a change and each
-- second: they must know that there are any; how many, each claim reads. Serves: event_types_limited.
select event_type_id from v7.event_types where concurrency_limit is not null order by event_type_id
