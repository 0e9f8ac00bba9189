"""The tables, as SQLAlchemy Core. A migration makes them; `make check` proves that the two agree."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

SCHEMA = "v7"
metadata = sa.MetaData(
    schema=SCHEMA,
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "ck": "%(table_name)s_%(constraint_name)s",
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
    },
)
Time = DateTime(timezone=True)

position = sa.Sequence("position", metadata=metadata, data_type=BigInteger())
"""One sequence for all priorities: later is larger everywhere, which is what a claim's frontier needs."""

# Rows live for seconds and leave dead entries by the thousand: vacuum by count, not by share of the table.
CHURN = {
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "10000",
    "autovacuum_vacuum_cost_delay": "0",
    "autovacuum_analyze_scale_factor": "0.05",
    "autovacuum_analyze_threshold": "10000",
}

QUEUED = sa.text("status = 'queued' and not suspect")

jobs = Table(
    "jobs",
    metadata,
    Column(
        "id",
        BigInteger,
        sa.Identity(always=False),
        primary_key=True,
        comment="Names the job for ever; what POST /api/event/v1 answered.",
    ),
    Column(
        "event_type_id",
        BigInteger,
        nullable=False,
        comment="The kind of event, as its sender said: decides the handler.",
    ),
    Column("user_id", BigInteger, nullable=False, comment="Whose event it is, as its sender said."),
    Column("priority", BigInteger, nullable=False, comment="The lower, the sooner. Any 64-bit integer."),
    Column("event_data", JSON, nullable=False, comment="The event: the text as it was sent."),
    Column(
        "correlation_id",
        Text,
        nullable=False,
        server_default=sa.text("(gen_random_uuid())::text"),
        comment="X-Request-Id of the sender, or made; stands in every log line of the job.",
    ),
    Column(
        "status",
        Text,
        nullable=False,
        server_default="queued",
        comment="scheduled, queued, running or dead; in finished_jobs succeeded or cancelled.",
    ),
    Column(
        "position",
        BigInteger,
        nullable=False,
        server_default=sa.text("nextval('v7.position'::regclass)"),
        comment="Order within a priority. Fresh at enqueue, promote, retry and redrive, and when priority is changed.",
    ),
    Column("run_at", Time, comment="Scheduled jobs: when it is due. Else null."),
    Column("retry_count", Integer, nullable=False, server_default="0", comment="Failures charged so far."),
    Column(
        "max_retries",
        Integer,
        comment="At this many failures the job is dead. Null until its first claim, which writes its "
        "handler's limit or V7_MAX_RETRIES, unless the sender gave one.",
    ),
    Column(
        "attempt",
        Integer,
        nullable=False,
        server_default="0",
        comment="Counts claims. With id and worker_id it fences every write of a worker.",
    ),
    Column("worker_id", BigInteger, comment="Running jobs: the worker that has it. Else null."),
    Column(
        "suspect",
        Boolean,
        nullable=False,
        server_default=sa.false(),
        comment="It was running when its process died: it runs alone next, so that only a killer is charged.",
    ),
    Column("last_error", Text, comment="Type and message of the last failure; failures has all of them."),
    Column("dead_at", Time, comment="Dead jobs: since when. Else null."),
    Column("dead_reason", Text, comment="Dead jobs: why. Else null."),
    Column("created_at", Time, nullable=False, server_default=sa.func.now(), comment="When it was enqueued."),
    Column("queued_at", Time, comment="When it last became runnable."),
    Column("claimed_at", Time, comment="When a worker last took it."),
    Column(
        "redriven_from",
        BigInteger,
        comment="The dead letter that this job was redriven from, with edited event_data. Null: it was not.",
    ),
    Column(
        "traceparent",
        Text,
        comment="The trace context that its sender gave (W3C): its attempts link to it. Null: it gave none.",
    ),
    Column("tracestate", Text, comment="What came with traceparent, for the sender's own tracing system."),
    Column(
        "log",
        Text,
        comment="What its last attempt that succeeded, or put it off, logged: the last lines. Null: nothing. "
        "What failed attempts logged stands in failures.",
    ),
    CheckConstraint("status in ('scheduled', 'queued', 'running', 'dead')", "status"),
    CheckConstraint("(status = 'running') = (worker_id is not null)", "running_has_worker"),
    CheckConstraint("(status = 'scheduled') = (run_at is not null)", "scheduled_has_run_at"),
    # The calendar of most programs, Python's among them, ends there; one such row would break every listing.
    CheckConstraint("run_at < '9999-01-01 00:00:00+00'", "run_at_is_in_reach"),
    CheckConstraint("(status = 'dead') = (dead_at is not null)", "dead_has_time"),
    CheckConstraint("(status = 'dead') = (dead_reason is not null)", "dead_has_reason"),
    CheckConstraint("retry_count >= 0 and attempt >= 0 and max_retries >= 0", "counts"),
    Index("jobs_queue", "priority", "position", postgresql_where=QUEUED),
    Index("jobs_queue_by_type", "event_type_id", "priority", "position", postgresql_where=QUEUED),
    Index("jobs_suspect", "priority", "position", postgresql_where=sa.text("status = 'queued' and suspect")),
    Index("jobs_scheduled", "run_at", postgresql_where=sa.text("status = 'scheduled'")),
    Index("jobs_dead", "dead_at", "id", postgresql_where=sa.text("status = 'dead'")),
    # For statements that say status = 'running'. Completions must not: they would be planned through this index,
    # by statistics that were taken when nothing ran, and join 500 rows by 500 (37 ms instead of 6).
    Index("jobs_running", "worker_id", postgresql_where=sa.text("status = 'running'")),
    comment="Every job that is not finished: scheduled, queued, running or dead.",
    postgresql_with=CHURN,
)

finished_jobs = Table(
    "finished_jobs",
    metadata,
    *(Column(c.name, c.type, nullable=c.nullable, comment=c.comment) for c in jobs.columns),
    Column("finished_at", Time, nullable=False, comment="When it ended; its UTC day is its partition."),
    CheckConstraint("status in ('succeeded', 'cancelled')", "status"),
    Index("finished_jobs_id", "id"),
    Index("finished_jobs_finished_at", "finished_at"),
    comment="Jobs that succeeded or were cancelled; partitioned by UTC day, dropped by day.",
    postgresql_partition_by="RANGE (finished_at)",
)

failures = Table(
    "failures",
    metadata,
    Column("id", BigInteger, sa.Identity(), primary_key=True, comment="Order of recording."),
    Column("job_id", BigInteger, nullable=False, comment="The job; it may be finished or pruned by now."),
    Column("attempt", Integer, nullable=False, comment="Which execution failed."),
    Column("event_type_id", BigInteger, nullable=False, comment="The job's event type."),
    Column("error_type", Text, nullable=False, comment="The exception's class, or Crash, Timeout, Discard."),
    Column("message", Text, nullable=False, comment="What it said, cleaned of what text cannot hold, cut."),
    Column("traceback", Text, comment="Where it came from, without local variables, cut."),
    Column("worker_id", BigInteger, nullable=False, comment="The worker that ran it."),
    Column("worker", Text, nullable=False, comment="That worker's name: host and process id."),
    Column("claimed_at", Time, comment="When that worker took it."),
    Column("failed_at", Time, nullable=False, server_default=sa.func.now(), comment="When it was recorded."),
    Column(
        "log",
        Text,
        comment="What the attempt logged before it failed: the last lines. Null: nothing, or it went with its process.",
    ),
    Index("failures_job_id", "job_id", "attempt"),
    Index("failures_failed_at", "failed_at"),
    comment="One row for each attempt that failed and was charged.",
)

event_types = Table(
    "event_types",
    metadata,
    Column("event_type_id", BigInteger, primary_key=True, autoincrement=False, comment="As senders say it."),
    Column("created_at", Time, nullable=False, server_default=sa.func.now(), comment="Its first event."),
    Column("paused_at", Time, comment="Since when its jobs wait; null: they run."),
    Column("paused_by", Text, comment="Who paused it, and by what."),
    Column(
        "concurrency_limit", Integer, comment="So many of its jobs run at once, on all nodes together; null: no limit."
    ),
    CheckConstraint("(paused_at is null) = (paused_by is null)", "paused"),
    CheckConstraint("concurrency_limit >= 1", "concurrency_limit"),
    Index("event_types_created_at", "created_at", "event_type_id"),
    Index("event_types_limited", "event_type_id", postgresql_where=sa.text("concurrency_limit is not null")),
    comment="One row for each type of event, made by its first event.",
)

workers = Table(
    "workers",
    metadata,
    Column("id", BigInteger, sa.Identity(), primary_key=True, comment="Never used twice."),
    Column(
        "node_id",
        BigInteger,
        sa.ForeignKey("v7.workers.id", ondelete="CASCADE"),
        index=True,
        comment="Workers: the node they belong to. Null: this row is a node.",
    ),
    Column("name", Text, nullable=False, comment="Host and process id."),
    Column("pid", Integer, nullable=False, comment="Process id on its host."),
    Column("token", Text, nullable=False, comment="Random; names the node's own notes on its disk."),
    Column("version", Text, nullable=False, comment="Release of the program."),
    Column("concurrency", Integer, nullable=False, comment="Attempts at once."),
    Column("event_type_ids", ARRAY(BigInteger), comment="Types that its handlers serve; null: all."),
    Column("started_at", Time, nullable=False, server_default=sa.func.now(), comment="When it began."),
    Column("heartbeat_at", Time, nullable=False, server_default=sa.func.now(), comment="Nodes: last beat."),
    Column("drained_at", Time, comment="Nodes: since when it takes no more jobs; null: it takes them."),
    Column("drained_by", Text, comment="Nodes: who drained it, and by what."),
    Column(
        "timeouts",
        JSONB,
        comment="Nodes: seconds that an attempt may take, by event type; other: of types without a handler of their "
        "own.",
    ),
    CheckConstraint("(drained_at is null) = (drained_by is null)", "drained"),
    comment="Nodes, and the worker processes on them. A row that is gone can neither claim nor write.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("key", Text, primary_key=True, comment="The Idempotency-Key that a sender gave."),
    Column("body_sha256", sa.LargeBinary, nullable=False, comment="Tells a repetition from a mistake."),
    Column("job_id", BigInteger, nullable=False, comment="What the first request was answered."),
    Column("created_at", Time, nullable=False, server_default=sa.func.now(), comment="Kept for 7 days."),
    Index("idempotency_keys_created_at", "created_at"),
    comment="Makes sending again safe, for 7 days, whatever became of the job.",
)

server = Table(
    "server",
    metadata,
    Column(
        "one_row",
        Boolean,
        primary_key=True,
        server_default=sa.true(),
        comment="Always true: there is one row.",
    ),
    Column("system_identifier", BigInteger, comment="The cluster, by pg_control_system(); null: not seen yet."),
    Column("timeline", BigInteger, comment="Its timeline, a new one after each failover; null: not seen yet."),
    Column("seen_at", Time, nullable=False, server_default=sa.func.now(), comment="When it was first seen there."),
    Column(
        "oldest_schema",
        Text,
        nullable=False,
        server_default="0010",
        comment="The oldest version of the schema that this one still serves: what came since only adds.",
    ),
    CheckConstraint("one_row", "one_row"),
    comment="Where this database stands. Where that changes, ids and positions jump, so that none is given out twice.",
)

metrics = Table(
    "metrics",
    metadata,
    Column(
        "source",
        sa.Uuid(as_uuid=False),
        primary_key=True,
        comment="A process, by a number of its own making; all zeros: the sum of those that ended.",
    ),
    Column(
        "counts",
        JSONB,
        nullable=False,
        comment="By name|event_type_id|label: a counter's number; a histogram's buckets, the rest, and the sum.",
    ),
    Column(
        "written_at",
        Time,
        nullable=False,
        server_default=sa.func.now(),
        comment="When it last changed; after a minute without a change it is added to the sum.",
    ),
    comment="What processes have counted, for GET /metrics: one row each, and one for all that ended.",
)

operations = Table(
    "operations",
    metadata,
    Column("id", BigInteger, sa.Identity(), primary_key=True, comment="Order of asking."),
    Column("act", Text, nullable=False, comment="cancel, retry, reschedule, priority or redrive."),
    Column("filter", JSONB, nullable=False, comment="Which jobs, as the listing's filters; {}: all."),
    Column("run_at", Time, comment="reschedule: until when they wait. Else null."),
    Column("priority", BigInteger, comment="priority: the one that they get. Else null."),
    Column("who", Text, nullable=False, comment="Who asked: the name of a key, or a user of the system."),
    Column("through", Text, nullable=False, comment="By what it was asked: api, cli or dashboard."),
    Column(
        "status", Text, nullable=False, server_default="waiting", comment="waiting, running, done, stopped, failed."
    ),
    Column(
        "last_id", BigInteger, nullable=False, comment="The newest job when it was asked; later ones are not meant."
    ),
    Column(
        "seen_id", BigInteger, nullable=False, server_default="0", comment="It has gone by all jobs up to this one."
    ),
    Column("done", BigInteger, nullable=False, server_default="0", comment="With how many jobs it was done."),
    Column(
        "skipped",
        BigInteger,
        nullable=False,
        server_default="0",
        comment="Jobs that were meant and changed before their turn, or that Postgres refused to change.",
    ),
    Column(
        "held",
        ARRAY(BigInteger),
        nullable=False,
        server_default="{}",
        comment="Jobs that it went by while another transaction held them: it comes back to them.",
    ),
    Column("created_at", Time, nullable=False, server_default=sa.func.now(), comment="When it was asked for."),
    Column("started_at", Time, comment="When its first batch began."),
    Column("finished_at", Time, comment="When it ended, done or not."),
    Column("carried_by", Text, comment="The process that carries it out, or did last."),
    Column("carried_at", Time, comment="When that one was last at it; 5 seconds later another may be."),
    Column("error", Text, comment="failed: why. Else the last refusal of Postgres to change a job."),
    CheckConstraint("act in ('cancel', 'retry', 'reschedule', 'priority', 'redrive')", "act"),
    CheckConstraint("status in ('waiting', 'running', 'done', 'stopped', 'failed')", "status"),
    CheckConstraint("(finished_at is not null) = (status in ('done', 'stopped', 'failed'))", "finished_has_time"),
    CheckConstraint("(act = 'reschedule') = (run_at is not null)", "reschedule_has_run_at"),
    CheckConstraint("(act = 'priority') = (priority is not null)", "priority_has_priority"),
    CheckConstraint("run_at < '9999-01-01 00:00:00+00'", "run_at_is_in_reach"),
    Index("operations_unfinished", "id", postgresql_where=sa.text("finished_at is null")),
    comment="Acts on all jobs that a filter names, carried out batch by batch. Kept for 400 days.",
)

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger, sa.Identity(), primary_key=True, comment="Order of recording."),
    Column("at", Time, nullable=False, server_default=sa.func.now(), comment="When it was done."),
    Column("who", Text, nullable=False, comment="Who did it: the name of a key, or a user of the system."),
    Column("through", Text, nullable=False, comment="By what: api, cli or dashboard."),
    Column(
        "act",
        Text,
        nullable=False,
        comment="cancel, retry, reschedule, priority, redrive; pause, resume, limit; drain; stop (an operation).",
    ),
    Column("job_id", BigInteger, comment="The job that it was done with; null: another thing, or many jobs."),
    Column("event_type_id", BigInteger, comment="pause, resume, limit: the type. Else null."),
    Column("operation_id", BigInteger, comment="The operation that did it, or was stopped. Null: neither."),
    Column("filter", JSONB, comment="Operations: which jobs. Else null."),
    Column("given", JSONB, comment="What was given with it: priority, run_at, paused_by, the new job. Never events."),
    Column(
        "jobs", BigInteger, comment="With how many jobs it was done; null: its operation goes on, or it is of none."
    ),
    Index("audit_at", "at"),
    Index("audit_job_id", "job_id", postgresql_where=sa.text("job_id is not null")),
    Index("audit_operation_id", "operation_id", postgresql_where=sa.text("operation_id is not null")),
    comment="What people did, by API or command line, written with the act itself. Kept for 400 days.",
)

minutes = Table(
    "minutes",
    metadata,
    Column("minute", Time, primary_key=True, comment="The minute that began."),
    Column(
        "noted_at",
        Time,
        nullable=False,
        server_default=sa.text("clock_timestamp()"),
        comment="When it was noted, seconds after that.",
    ),
    *(
        Column(name, sa.Double, nullable=False, comment=f"{says} In all, until then.")
        for name, says in {
            "received": "Events that the API acknowledged.",
            "succeeded": "Attempts that succeeded.",
            "failed": "Attempts that failed, were discarded or crashed.",
            "dead": "Jobs that became dead letters.",
            "retried": "Failures after which the job is tried again.",
        }.items()
    ),
    Column(
        "counts",
        JSONB,
        comment="The same by event type, and how long handlers ran, as in metrics. Null after two hours.",
    ),
    comment="What all processes had counted when a minute began; the difference of two is what came between.",
)
