-- See whether the database stands where it was seen last; where it does not, jump over what was given out meanwhile.
-- Called by: whoever will enqueue or claim, on each new connection. Locks: v7.server's row, and only if it changes:
-- of two at once the second waits, looks again, and finds nothing to do. Serves: no index, the table has one row.
-- A standby that took over without the last of the log (a failover to an asynchronous one, a restore) would give out
-- again ids that clients, logs and other systems know already. It is on a new timeline, or has another identity.
-- The timeline comes from the name of the file that is written now: pg_control_checkpoint() says the old one until
-- the first checkpoint after a promotion. A recovery from a crash stays on its timeline.
-- How far: a million, and 20,000 for each second since this copy last heard a heartbeat, which is more than a server
-- can take in. So a restore of yesterday jumps over a day, and of two standbys promoted one after the other, neither
-- of which heard of the other, the second lands beyond what the first gave out.
-- Its commit waits for no standby, since right after a failover there may be none; whatever is given out after it
-- comes later in the log, so no id reaches a standby before this does.
with here as materialized (
    select system_identifier,
        ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint as timeline,
        set_config('synchronous_commit', 'local', true) as setting
    from pg_control_system()),
moved as (
    update v7.server as seen
    set system_identifier = here.system_identifier, timeline = here.timeline, seen_at = clock_timestamp()
    from here, v7.server as before
    where (seen.system_identifier, seen.timeline) is distinct from (here.system_identifier, here.timeline)
    returning before.timeline as old_timeline, before.system_identifier = here.system_identifier as same_system,
        here.timeline, 1000000 + (20000 * greatest(0, extract(epoch from clock_timestamp() - greatest(
            before.seen_at, (select max(heartbeat_at) from v7.workers where node_id is null)))))::bigint as jump)
select old_timeline, timeline, same_system, jump,
    setval('v7.jobs_id_seq', nextval('v7.jobs_id_seq') + jump),
    setval('v7.position', nextval('v7.position') + jump),
    setval('v7.workers_id_seq', nextval('v7.workers_id_seq') + jump),
    setval('v7.failures_id_seq', nextval('v7.failures_id_seq') + jump),
    setval('v7.operations_id_seq', nextval('v7.operations_id_seq') + jump),
    setval('v7.audit_id_seq', nextval('v7.audit_id_seq') + jump)
from moved where old_timeline is not null
