"""What other programs and people use: v7.enqueue, the views, and the days of finished_jobs."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ENQUEUE = """
create function v7.enqueue(
    event_type_id bigint, user_id bigint, priority bigint, event_data json,
    run_at timestamptz default null, max_retries integer default null,
    correlation_id text default null, idempotency_key text default null
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
    end if;
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
                             status, run_at)
            values (job, enqueue.event_type_id, enqueue.user_id, enqueue.priority, enqueue.event_data,
                    enqueue.max_retries, coalesce(enqueue.correlation_id, gen_random_uuid()::text),
                    'scheduled', enqueue.run_at);
    else
        insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                             queued_at)
            values (job, enqueue.event_type_id, enqueue.user_id, enqueue.priority, enqueue.event_data,
                    enqueue.max_retries, coalesce(enqueue.correlation_id, gen_random_uuid()::text), now());
        perform pg_notify('v7', 'jobs');
    end if;
    return job;
end $$
"""

# CREATE TABLE … PARTITION OF locks out every reader and writer of the whole table; ATTACH does not.
ADD_DAYS = """
create function v7.add_days(days_ahead integer) returns integer language plpgsql as $$
declare
    day date;
    name text;
    added integer := 0;
begin
    for ahead in 0..days_ahead loop
        day := (now() at time zone 'UTC')::date + ahead;
        name := 'finished_jobs_' || to_char(day, 'YYYYMMDD');
        if to_regclass('v7.' || name) is null then
            execute format('create table v7.%I (like v7.finished_jobs including all)', name);
            execute format('alter table v7.finished_jobs attach partition v7.%I for values from (%L) to (%L)',
                           name, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
            added := added + 1;
        end if;
    end loop;
    return added;
end $$
"""

DROP_OLDEST_DAY = """
create function v7.drop_oldest_day(retention_days integer) returns text language plpgsql as $$
declare
    oldest text;
begin
    select relname into oldest from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'v7.finished_jobs'::regclass order by relname limit 1;
    if to_date(right(oldest, 8), 'YYYYMMDD') >= (now() at time zone 'UTC')::date - retention_days then
        return null;
    end if;
    execute format('drop table v7.%I', oldest);
    return oldest;
end $$
"""

ALL_JOBS = """
create view v7.all_jobs as
    select id, event_type_id, user_id, priority, event_data, correlation_id, status, position, run_at,
           retry_count, max_retries, attempt, worker_id, suspect, last_error, dead_at, dead_reason,
           created_at, queued_at, claimed_at, null::timestamptz as finished_at
    from v7.jobs
    union all
    select id, event_type_id, user_id, priority, event_data, correlation_id, status, position, run_at,
           retry_count, max_retries, attempt, worker_id, suspect, last_error, dead_at, dead_reason,
           created_at, queued_at, claimed_at, finished_at
    from v7.finished_jobs
"""

QUEUE_DEPTH = """
create view v7.queue_depth as
    select event_type_id, status, count(*) as jobs,
           min(coalesce(queued_at, created_at)) as oldest_at,
           now() - min(coalesce(queued_at, created_at)) as oldest_age
    from v7.jobs group by event_type_id, status
"""

DEAD_LETTERS = """
create view v7.dead_letters as
    select j.id, j.event_type_id, j.user_id, j.priority, j.event_data, j.correlation_id, j.retry_count,
           j.dead_at, j.dead_reason, j.last_error, f.error_type, f.message, f.traceback, f.failed_at, f.worker
    from v7.jobs j
    left join lateral (select * from v7.failures f where f.job_id = j.id
                       order by f.attempt desc, f.id desc limit 1) f on true
    where j.status = 'dead'
"""

THROUGHPUT = """
create view v7.throughput as
    with ended as (
        select date_trunc('minute', finished_at) as minute, status = 'succeeded' as succeeded
        from v7.finished_jobs where finished_at > now() - interval '1 hour'
        union all
        select date_trunc('minute', failed_at), null from v7.failures
        where failed_at > now() - interval '1 hour')
    select minute, count(*) filter (where succeeded) as succeeded,
           count(*) filter (where not succeeded) as cancelled,
           count(*) filter (where succeeded is null) as failed_attempts
    from ended group by minute
"""

COMMENTS = {
    "schema v7": "The queue of the v7 task processor; docs/sql.md tells how to read it.",
    "sequence v7.position": "Order of queueing over all priorities: later is larger.",
    "function v7.enqueue": "Adds an event in the caller's transaction and wakes workers; returns the job's id. "
    "With an idempotency_key a repetition returns the first id.",
    "function v7.add_days": "Makes the partitions of finished_jobs for today and the days ahead; returns how many.",
    "function v7.drop_oldest_day": "Drops the oldest partition of finished_jobs if it is older than the retention; "
    "returns its name, or null.",
    "view v7.all_jobs": "jobs and finished_jobs as one.",
    "view v7.queue_depth": "How many jobs of each type stand in each status, and since when the oldest waits. "
    "Counts every row.",
    "view v7.dead_letters": "Dead jobs, each with its last recorded failure.",
    "view v7.throughput": "The last hour by minutes: succeeded, cancelled, failed attempts.",
}

VIEW_COLUMNS = {
    "all_jobs": {"finished_at": "When it ended; null: it has not."},
    "queue_depth": {
        "event_type_id": "The kind of event.",
        "status": "scheduled, queued, running or dead.",
        "jobs": "How many.",
        "oldest_at": "Since when the oldest of them waits.",
        "oldest_age": "How long that is.",
    },
    "dead_letters": {
        "error_type": "Last failure: the exception's class.",
        "message": "Last failure: what it said.",
        "traceback": "Last failure: where it came from.",
        "failed_at": "Last failure: when.",
        "worker": "Last failure: on which worker.",
    },
    "throughput": {
        "minute": "Its beginning.",
        "succeeded": "Jobs that succeeded in it.",
        "cancelled": "Jobs that were cancelled in it.",
        "failed_attempts": "Attempts that failed in it, whatever became of their jobs.",
    },
}

# A view's columns carry the comments of the table's columns that they show.
COPY_COMMENTS = """
do $$
declare c record;
begin
    for c in select v.relname, a.attname, col_description('v7.jobs'::regclass, j.attnum) as says
        from pg_class v join pg_attribute a on a.attrelid = v.oid
        join pg_attribute j on j.attrelid = 'v7.jobs'::regclass and j.attname = a.attname
        where v.relnamespace = 'v7'::regnamespace and v.relname in ('all_jobs', 'dead_letters') and a.attnum > 0
    loop
        execute format('comment on column v7.%I.%I is %L', c.relname, c.attname, c.says);
    end loop;
end $$
"""


def upgrade() -> None:
    for ddl in (ENQUEUE, ADD_DAYS, DROP_OLDEST_DAY, ALL_JOBS, QUEUE_DEPTH, DEAD_LETTERS, THROUGHPUT):
        op.execute(ddl)
    op.execute(COPY_COMMENTS)
    for thing, says in COMMENTS.items():
        op.execute(f"comment on {thing} is {quoted(says)}")
    for view, columns in VIEW_COLUMNS.items():
        for column, says in columns.items():
            op.execute(f"comment on column v7.{view}.{column} is {quoted(says)}")
    op.execute("select v7.add_days(14)")


def downgrade() -> None:
    for view in ("throughput", "dead_letters", "queue_depth", "all_jobs"):
        op.execute(f"drop view v7.{view}")
    for function in ("drop_oldest_day", "add_days", "enqueue"):
        op.execute(f"drop function v7.{function}")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
