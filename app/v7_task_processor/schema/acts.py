"""What people did, with one job or with many."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from .base import Time, metadata

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
