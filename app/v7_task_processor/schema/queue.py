"""What waits and what became of it: jobs, their failures, their types, and the keys of those that were sent."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import JSON

from .base import Time, metadata

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
