"""What attempts logged is kept with them; and the trace of who sent an event, with its job."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TRACEPARENT = "The trace context that its sender gave (W3C): its attempts link to it. Null: it gave none."
TRACESTATE = "What came with traceparent, for the sender's own tracing system."
LOG = (
    "What its last attempt that succeeded, or put it off, logged: the last lines. Null: nothing. "
    "What failed attempts logged stands in failures."
)
FAILURE_LOG = "What the attempt logged before it failed: the last lines. Null: nothing, or it went with its process."
COLUMNS = {"traceparent": TRACEPARENT, "tracestate": TRACESTATE, "log": LOG}

# Columns without a default, so that the lock is held for a moment only.
ADD = """
alter table v7.jobs add traceparent text, add tracestate text, add log text;
alter table v7.finished_jobs add traceparent text, add tracestate text, add log text;
alter table v7.failures add log text;
"""
SHOWN = """id, event_type_id, user_id, priority, event_data, correlation_id, status, position, run_at,
           retry_count, max_retries, attempt, worker_id, suspect, last_error, dead_at, dead_reason,
           created_at, queued_at, claimed_at"""
ALL_JOBS = """
create {or_replace} view v7.all_jobs as
    select {shown}, null::timestamptz as finished_at, redriven_from{more}
    from v7.jobs
    union all
    select {shown}, finished_at, redriven_from{more}
    from v7.finished_jobs
"""
DEAD_LETTERS = """
create {or_replace} view v7.dead_letters as
    select j.id, j.event_type_id, j.user_id, j.priority, j.event_data, j.correlation_id, j.retry_count,
           j.dead_at, j.dead_reason, j.last_error, f.error_type, f.message, f.traceback, f.failed_at, f.worker{more}
    from v7.jobs j
    left join lateral (select * from v7.failures f where f.job_id = j.id
                       order by f.attempt desc, f.id desc limit 1) f on true
    where j.status = 'dead'
"""
BEFORE = "bigint, bigint, bigint, json, timestamptz, integer, text, text"
AFTER = f"{BEFORE}, text, text"

ENQUEUE = """
create function v7.enqueue(
    event_type_id bigint, user_id bigint, priority bigint, event_data json,
    run_at timestamptz default null, max_retries integer default null,
    correlation_id text default null, idempotency_key text default null{arguments}
) returns bigint language plpgsql as $$
#variable_conflict use_column
declare
    job bigint := nextval('v7.jobs_id_seq');
    digest bytea;
    known v7.idempotency_keys;
begin
    if enqueue.run_at >= '9999-01-01' then
        raise exception 'run_at is %: it must be before the year 9999', enqueue.run_at
            using errcode = 'datetime_field_overflow';
    end if;{checked}
    if idempotency_key is not null then
        digest := sha256(convert_to(concat_ws(',', enqueue.event_type_id, enqueue.user_id, enqueue.priority,
                                              enqueue.event_data), 'UTF8'));
        insert into v7.idempotency_keys as k (key, body_sha256, job_id)
            values (enqueue.idempotency_key, digest, job)
            on conflict (key) do update set key = excluded.key
            returning k.* into known;
        if known.job_id <> job then
            if known.body_sha256 <> digest then
                raise exception 'idempotency_key % was used for another event, which is job %',
                    quote_literal(enqueue.idempotency_key), known.job_id using errcode = 'unique_violation';
            end if;
            return known.job_id;
        end if;
    end if;
    if enqueue.run_at > now() then
        insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                             status, run_at{columns})
            values (job, enqueue.event_type_id, enqueue.user_id, enqueue.priority, enqueue.event_data,
                    enqueue.max_retries, coalesce(enqueue.correlation_id, gen_random_uuid()::text),
                    'scheduled', enqueue.run_at{values});
    else
        insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                             queued_at{columns})
            values (job, enqueue.event_type_id, enqueue.user_id, enqueue.priority, enqueue.event_data,
                    enqueue.max_retries, coalesce(enqueue.correlation_id, gen_random_uuid()::text), now(){values});
        perform pg_notify('v7', 'jobs');
    end if;
    return job;
end $$
"""
# What is no trace context is left out, as the API leaves it out: no event is refused for it.
CHECKED = """
    if enqueue.traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
        enqueue.traceparent := null;
    end if;
    if enqueue.traceparent is null or length(enqueue.tracestate) > 512 then
        enqueue.tracestate := null;
    end if;"""
WITH_TRACE = {
    "arguments": ",\n    traceparent text default null, tracestate text default null",
    "checked": CHECKED,
    "columns": ", traceparent, tracestate",
    "values": ", enqueue.traceparent, enqueue.tracestate",
}
WITHOUT_TRACE = dict.fromkeys(WITH_TRACE, "")

# The arguments of a function cannot be changed, and with both there a call would be ambiguous. So it is another one,
# and whoever was allowed to call the old one, and nobody else, may call it.
REPLACE = """
do $do$
declare
    allowed aclitem[] := (select proacl from pg_proc where oid = 'v7.enqueue({old})'::regprocedure);
    each record;
begin
    drop function v7.enqueue({old});
    {create};
    if allowed is not null then
        revoke all on function v7.enqueue({new}) from public;
        for each in select * from aclexplode(allowed) loop
            execute format('grant execute on function v7.enqueue({new}) to %s%s',
                           case each.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(each.grantee)) end,
                           case when each.is_grantable then ' with grant option' else '' end);
        end loop;
    end if;
end $do$
"""
ENQUEUE_SAYS = (
    "Adds an event in the caller's transaction and wakes workers; returns the job's id. "
    "With an idempotency_key a repetition returns the first id."
)
TRACE_SAYS = " traceparent and tracestate (W3C) name the trace that it is part of."

# A view's columns carry the comments of the table's columns that they show.
COPY_COMMENTS = """
do $$
declare c record;
begin
    for c in select v.relname, a.attname, col_description('v7.jobs'::regclass, j.attnum) as says
        from pg_class v join pg_attribute a on a.attrelid = v.oid
        join pg_attribute j on j.attrelid = 'v7.jobs'::regclass and j.attname = a.attname
        where v.relnamespace = 'v7'::regnamespace and v.relname in ('all_jobs', 'dead_letters') and a.attnum > 0
          and not (v.relname = 'dead_letters' and a.attname = 'log')
    loop
        execute format('comment on column v7.%I.%I is %L', c.relname, c.attname, c.says);
    end loop;
end $$
"""
DEAD_LETTER_COMMENTS = {
    "error_type": "Last failure: the exception's class.",
    "message": "Last failure: what it said.",
    "traceback": "Last failure: where it came from.",
    "failed_at": "Last failure: when.",
    "worker": "Last failure: on which worker.",
}


def upgrade() -> None:
    op.execute(ADD)
    for table in ("jobs", "finished_jobs"):
        for column, says in COLUMNS.items():
            op.execute(f"comment on column v7.{table}.{column} is {quoted(says)}")
    op.execute(f"comment on column v7.failures.log is {quoted(FAILURE_LOG)}")
    op.execute(ALL_JOBS.format(or_replace="or replace", shown=SHOWN, more=", traceparent, tracestate, log"))
    op.execute(DEAD_LETTERS.format(or_replace="or replace", more=", f.log"))
    op.execute("comment on column v7.dead_letters.log is 'Last failure: what it logged before.'")
    op.execute(COPY_COMMENTS)
    op.execute(REPLACE.format(old=BEFORE, new=AFTER, create=ENQUEUE.format(**WITH_TRACE)))
    op.execute(f"comment on function v7.enqueue is {quoted(ENQUEUE_SAYS + TRACE_SAYS)}")


def downgrade() -> None:
    op.execute(REPLACE.format(old=AFTER, new=BEFORE, create=ENQUEUE.format(**WITHOUT_TRACE)))
    op.execute(f"comment on function v7.enqueue is {quoted(ENQUEUE_SAYS)}")
    op.execute("drop view v7.all_jobs, v7.dead_letters")
    for table in ("jobs", "finished_jobs"):
        op.execute(f"alter table v7.{table} drop traceparent, drop tracestate, drop log")
    op.execute("alter table v7.failures drop log")
    op.execute(ALL_JOBS.format(or_replace="", shown=SHOWN, more=""))
    op.execute(DEAD_LETTERS.format(or_replace="", more=""))
    op.execute("comment on view v7.all_jobs is 'jobs and finished_jobs as one.'")
    op.execute("comment on column v7.all_jobs.finished_at is 'When it ended; null: it has not.'")
    op.execute("comment on view v7.dead_letters is 'Dead jobs, each with its last recorded failure.'")
    for column, says in DEAD_LETTER_COMMENTS.items():
        op.execute(f"comment on column v7.dead_letters.{column} is {quoted(says)}")
    op.execute(COPY_COMMENTS)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
