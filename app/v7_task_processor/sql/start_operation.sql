-- Ask for an act on all jobs that a filter names. Durable; the caller's transaction notes it in the audit.
-- Called by: POST /api/jobs/v1/{act}, and the commands that act by filters, which carry it out themselves: they name
-- themselves as its carrier at once, so that no node begins with it too. Locks: nothing.
-- Jobs that come after it are not meant. The sequence says which those are: max(id) might walk over a million dead
-- entries, at the end of the index. One that never was called says the number that it will give out first.
with durably as materialized (
    select set_config('synchronous_commit', case current_setting('synchronous_commit')
        when 'remote_apply' then 'remote_apply' else 'on' end, true) as setting)
insert into v7.operations (act, filter, run_at, priority, who, through, last_id, carried_by, carried_at)
select :act::text, :filter::jsonb, :run_at::timestamptz, :priority::bigint, :who::text, :through::text,
    last_value - (not is_called)::integer, :carrier::text,
    case when :carrier::text is not null then clock_timestamp() end
from v7.jobs_id_seq, durably where setting <> ''
returning id, act, filter, run_at, priority, status, seen_id, last_id, held, done, skipped
