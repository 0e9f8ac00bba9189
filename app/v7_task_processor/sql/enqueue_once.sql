-- Add events that carry an Idempotency-Key, each key once; answer for each whether it is the same event.
-- Called by: the API's group commit and its batches, with no key twice in one call.
-- Locks: the rows of its keys until the commit, in the order of the keys, so that two batches cannot deadlock.
-- A key that is there already is updated all the same: to wait for the transaction that may be writing it, and
-- because only a commit that writes waits for the synchronous standby. The key's first commit may never have
-- reached one.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting,
        set_config('client_min_messages', 'warning', true)),
given as materialized (
    select given.*, nextval('v7.jobs_id_seq') as id from durably, unnest(
        :keys::text[], :digests::bytea[], :event_type_ids::bigint[], :user_ids::bigint[], :priorities::bigint[],
        :event_data::text[], :correlation_ids::text[], :traceparents::text[], :tracestates::text[])
    with ordinality as given(key, digest, event_type_id, user_id, priority, event_data, correlation_id, traceparent,
        tracestate, place)
    where setting <> ''),
kept as (
    insert into v7.idempotency_keys as kept (key, body_sha256, job_id)
    select key, digest, id from given order by key
    on conflict (key) do update set key = excluded.key
    returning kept.key, kept.body_sha256, kept.job_id),
added as (
    insert into v7.jobs (id, event_type_id, user_id, priority, event_data, correlation_id, queued_at,
        traceparent, tracestate)
    select id, event_type_id, user_id, priority, event_data::json, correlation_id, now(),
        nullif(traceparent, ''), nullif(tracestate, '')
    from (select given.* from given join kept using (key) where kept.job_id = given.id order by place) as new)
select kept.job_id, kept.body_sha256 = given.digest
from given join kept using (key) order by given.place
