-- What operators let no worker start, or not now: types whose jobs wait, types of which not more than so many run at
-- once (how many, each claim reads), and whether its node is to take nothing. Called by: workers, when they start, when
-- they are told of a change, and each second. Serves: event_types_pkey, event_types_limited, workers_pkey.
select
    array(select event_type_id from v7.event_types where paused_at is not null order by event_type_id),
    array(select event_type_id from v7.event_types where concurrency_limit is not null order by event_type_id),
    exists (select from v7.workers where id = :node_id::bigint and drained_at is not null)
