-- Add events from arrays and commit durably, in one round trip; of a batch, a part, in the batch's transaction.
-- Called by: the API's group commit, and its batches. Locks: nothing but the new rows. Serves: no index.
-- synchronous_commit is set inside the statement, for its own transaction: a session's SET leaks through a
-- pooler, and BEGIN, SET, INSERT, COMMIT would be four round trips. Likewise the level of messages: the warning that
-- a standby did not confirm is all that tells such a commit from a good one. What is stronger than on stays: a server
-- set to remote_apply has each commit wait until its standby shows it. The ids come in the order of the arrays, since
-- the defaults are drawn after the sort. The arrays of traces are empty where no event has one.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting,
        set_config('client_min_messages', 'warning', true))
insert into v7.jobs (event_type_id, user_id, priority, event_data, correlation_id, queued_at,
    traceparent, tracestate)
select event_type_id, user_id, priority, event_data::json, correlation_id, now(),
    nullif(traceparent, ''), nullif(tracestate, '')
from (select given.* from durably, unnest(
          :event_type_ids::bigint[], :user_ids::bigint[], :priorities::bigint[], :event_data::text[],
          :correlation_ids::text[], :traceparents::text[], :tracestates::text[])
      with ordinality as given(event_type_id, user_id, priority, event_data, correlation_id, traceparent, tracestate,
          place)
      where setting <> '' order by place) as given
returning id
