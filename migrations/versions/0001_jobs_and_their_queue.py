"""Jobs and their queue, their history, the types, the workers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create sequence v7.position as bigint")
    op.create_table(
        "event_types",
        sa.Column(
            "event_type_id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="As senders say it.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Its first event.",
        ),
        sa.Column(
            "paused_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Since when its jobs wait; null: they run.",
        ),
        sa.Column("paused_by", sa.Text(), nullable=True, comment="Who paused it, and by what."),
        sa.CheckConstraint("(paused_at is null) = (paused_by is null)", name=op.f("event_types_paused")),
        sa.PrimaryKeyConstraint("event_type_id", name=op.f("event_types_pkey")),
        schema="v7",
        comment="One row for each type of event, made by its first event.",
    )
    op.create_table(
        "failures",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Order of recording."),
        sa.Column("job_id", sa.BigInteger(), nullable=False, comment="The job; it may be finished or pruned by now."),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="Which execution failed."),
        sa.Column("event_type_id", sa.BigInteger(), nullable=False, comment="The job's event type."),
        sa.Column(
            "error_type",
            sa.Text(),
            nullable=False,
            comment="The exception's class, or Crash, Timeout, Discard.",
        ),
        sa.Column(
            "message",
            sa.Text(),
            nullable=False,
            comment="What it said, cleaned of what text cannot hold, cut.",
        ),
        sa.Column("traceback", sa.Text(), nullable=True, comment="Where it came from, without local variables, cut."),
        sa.Column("worker_id", sa.BigInteger(), nullable=False, comment="The worker that ran it."),
        sa.Column("worker", sa.Text(), nullable=False, comment="That worker's name: host and process id."),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True, comment="When that worker took it."),
        sa.Column(
            "failed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was recorded.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("failures_pkey")),
        schema="v7",
        comment="One row for each attempt that failed and was charged.",
    )
    op.create_index("failures_failed_at", "failures", ["failed_at"], unique=False, schema="v7")
    op.create_index("failures_job_id", "failures", ["job_id", "attempt"], unique=False, schema="v7")
    op.create_table(
        "finished_jobs",
        sa.Column(
            "id",
            sa.BigInteger(),
            nullable=False,
            comment="Names the job for ever; what POST /api/event/v1 answered.",
        ),
        sa.Column(
            "event_type_id",
            sa.BigInteger(),
            nullable=False,
            comment="The kind of event, as its sender said: decides the handler.",
        ),
        sa.Column("user_id", sa.BigInteger(), nullable=False, comment="Whose event it is, as its sender said."),
        sa.Column("priority", sa.BigInteger(), nullable=False, comment="The lower, the sooner. Any 64-bit integer."),
        sa.Column(
            "event_data",
            postgresql.JSON(astext_type=sa.Text()),
            nullable=False,
            comment="The event: the text as it was sent.",
        ),
        sa.Column(
            "correlation_id",
            sa.Text(),
            nullable=False,
            comment="X-Request-Id of the sender, or made; stands in every log line of the job.",
        ),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="scheduled, queued, running or dead; in finished_jobs succeeded or cancelled.",
        ),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            comment="Order within a priority. Fresh at enqueue, promote, retry and redrive.",
        ),
        sa.Column(
            "run_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Scheduled jobs: when it is due. Else null.",
        ),
        sa.Column("retry_count", sa.Integer(), nullable=False, comment="Failures charged so far."),
        sa.Column(
            "max_retries",
            sa.Integer(),
            nullable=True,
            comment="At this many failures the job is dead. Null until its first claim, which writes its handler's limit or V7_MAX_RETRIES, unless the sender gave one.",
        ),
        sa.Column(
            "attempt",
            sa.Integer(),
            nullable=False,
            comment="Counts claims. With id and worker_id it fences every write of a worker.",
        ),
        sa.Column(
            "worker_id",
            sa.BigInteger(),
            nullable=True,
            comment="Running jobs: the worker that has it. Else null.",
        ),
        sa.Column(
            "suspect",
            sa.Boolean(),
            nullable=False,
            comment="It was running when its process died: it runs alone next, so that only a killer is charged.",
        ),
        sa.Column(
            "last_error",
            sa.Text(),
            nullable=True,
            comment="Type and message of the last failure; failures has all of them.",
        ),
        sa.Column("dead_at", sa.DateTime(timezone=True), nullable=True, comment="Dead jobs: since when. Else null."),
        sa.Column("dead_reason", sa.Text(), nullable=True, comment="Dead jobs: why. Else null."),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, comment="When it was enqueued."),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True, comment="When it last became runnable."),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True, comment="When a worker last took it."),
        sa.Column(
            "finished_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="When it ended; its UTC day is its partition.",
        ),
        sa.CheckConstraint("status in ('succeeded', 'cancelled')", name=op.f("finished_jobs_status")),
        schema="v7",
        comment="Jobs that succeeded or were cancelled; partitioned by UTC day, dropped by day.",
        postgresql_partition_by="RANGE (finished_at)",
    )
    op.create_index("finished_jobs_finished_at", "finished_jobs", ["finished_at"], unique=False, schema="v7")
    op.create_index("finished_jobs_id", "finished_jobs", ["id"], unique=False, schema="v7")
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False, comment="The Idempotency-Key that a sender gave."),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False, comment="Tells a repetition from a mistake."),
        sa.Column("job_id", sa.BigInteger(), nullable=False, comment="What the first request was answered."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Kept for 7 days.",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("idempotency_keys_pkey")),
        schema="v7",
        comment="Makes sending again safe, for 7 days, whatever became of the job.",
    )
    op.create_index("idempotency_keys_created_at", "idempotency_keys", ["created_at"], unique=False, schema="v7")
    op.create_table(
        "jobs",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="Names the job for ever; what POST /api/event/v1 answered.",
        ),
        sa.Column(
            "event_type_id",
            sa.BigInteger(),
            nullable=False,
            comment="The kind of event, as its sender said: decides the handler.",
        ),
        sa.Column("user_id", sa.BigInteger(), nullable=False, comment="Whose event it is, as its sender said."),
        sa.Column("priority", sa.BigInteger(), nullable=False, comment="The lower, the sooner. Any 64-bit integer."),
        sa.Column(
            "event_data",
            postgresql.JSON(astext_type=sa.Text()),
            nullable=False,
            comment="The event: the text as it was sent.",
        ),
        sa.Column(
            "correlation_id",
            sa.Text(),
            server_default=sa.text("gen_random_uuid()::text"),
            nullable=False,
            comment="X-Request-Id of the sender, or made; stands in every log line of the job.",
        ),
        sa.Column(
            "status",
            sa.Text(),
            server_default="queued",
            nullable=False,
            comment="scheduled, queued, running or dead; in finished_jobs succeeded or cancelled.",
        ),
        sa.Column(
            "position",
            sa.BigInteger(),
            server_default=sa.text("nextval('v7.position')"),
            nullable=False,
            comment="Order within a priority. Fresh at enqueue, promote, retry and redrive.",
        ),
        sa.Column(
            "run_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Scheduled jobs: when it is due. Else null.",
        ),
        sa.Column(
            "retry_count",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Failures charged so far.",
        ),
        sa.Column(
            "max_retries",
            sa.Integer(),
            nullable=True,
            comment="At this many failures the job is dead. Null until its first claim, which writes its handler's limit or V7_MAX_RETRIES, unless the sender gave one.",
        ),
        sa.Column(
            "attempt",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="Counts claims. With id and worker_id it fences every write of a worker.",
        ),
        sa.Column(
            "worker_id",
            sa.BigInteger(),
            nullable=True,
            comment="Running jobs: the worker that has it. Else null.",
        ),
        sa.Column(
            "suspect",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="It was running when its process died: it runs alone next, so that only a killer is charged.",
        ),
        sa.Column(
            "last_error",
            sa.Text(),
            nullable=True,
            comment="Type and message of the last failure; failures has all of them.",
        ),
        sa.Column("dead_at", sa.DateTime(timezone=True), nullable=True, comment="Dead jobs: since when. Else null."),
        sa.Column("dead_reason", sa.Text(), nullable=True, comment="Dead jobs: why. Else null."),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was enqueued.",
        ),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True, comment="When it last became runnable."),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True, comment="When a worker last took it."),
        sa.CheckConstraint("run_at < '9999-01-01 00:00:00+00'", name=op.f("jobs_run_at_is_in_reach")),
        sa.CheckConstraint("(status = 'dead') = (dead_at is not null)", name=op.f("jobs_dead_has_time")),
        sa.CheckConstraint("(status = 'dead') = (dead_reason is not null)", name=op.f("jobs_dead_has_reason")),
        sa.CheckConstraint("(status = 'running') = (worker_id is not null)", name=op.f("jobs_running_has_worker")),
        sa.CheckConstraint("(status = 'scheduled') = (run_at is not null)", name=op.f("jobs_scheduled_has_run_at")),
        sa.CheckConstraint("status in ('scheduled', 'queued', 'running', 'dead')", name=op.f("jobs_status")),
        sa.CheckConstraint("retry_count >= 0 and attempt >= 0 and max_retries >= 0", name=op.f("jobs_counts")),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
        schema="v7",
        comment="Every job that is not finished: scheduled, queued, running or dead.",
        postgresql_with={
            "autovacuum_vacuum_scale_factor": "0.01",
            "autovacuum_vacuum_threshold": "10000",
            "autovacuum_vacuum_cost_delay": "0",
            "autovacuum_analyze_scale_factor": "0.05",
            "autovacuum_analyze_threshold": "10000",
        },
    )
    op.create_index(
        "jobs_dead",
        "jobs",
        ["dead_at", "id"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("status = 'dead'"),
    )
    op.create_index(
        "jobs_queue",
        "jobs",
        ["priority", "position"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("status = 'queued' and not suspect"),
    )
    op.create_index(
        "jobs_queue_by_type",
        "jobs",
        ["event_type_id", "priority", "position"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("status = 'queued' and not suspect"),
    )
    op.create_index(
        "jobs_scheduled",
        "jobs",
        ["run_at"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("status = 'scheduled'"),
    )
    op.create_index(
        "jobs_suspect",
        "jobs",
        ["priority", "position"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("status = 'queued' and suspect"),
    )
    op.create_index(
        "jobs_running",
        "jobs",
        ["worker_id"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Never used twice."),
        sa.Column(
            "node_id",
            sa.BigInteger(),
            nullable=True,
            comment="Workers: the node they belong to. Null: this row is a node.",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="Host and process id."),
        sa.Column("pid", sa.Integer(), nullable=False, comment="Process id on its host."),
        sa.Column("token", sa.Text(), nullable=False, comment="Random; names the node's own notes on its disk."),
        sa.Column("version", sa.Text(), nullable=False, comment="Release of the program."),
        sa.Column("concurrency", sa.Integer(), nullable=False, comment="Attempts at once."),
        sa.Column(
            "event_type_ids",
            postgresql.ARRAY(sa.BigInteger()),
            nullable=True,
            comment="Types that its handlers serve; null: all.",
        ),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it began.",
        ),
        sa.Column(
            "heartbeat_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Nodes: last beat.",
        ),
        sa.ForeignKeyConstraint(["node_id"], ["v7.workers.id"], name=op.f("workers_node_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
        schema="v7",
        comment="Nodes, and the worker processes on them. A row that is gone can neither claim nor write.",
    )
    op.create_index(op.f("workers_node_id"), "workers", ["node_id"], unique=False, schema="v7")


def downgrade() -> None:
    op.drop_index(op.f("workers_node_id"), table_name="workers", schema="v7")
    op.drop_table("workers", schema="v7")
    op.drop_index("jobs_running", table_name="jobs", schema="v7", postgresql_where=sa.text("status = 'running'"))
    op.drop_index(
        "jobs_suspect",
        table_name="jobs",
        schema="v7",
        postgresql_where=sa.text("status = 'queued' and suspect"),
    )
    op.drop_index("jobs_scheduled", table_name="jobs", schema="v7", postgresql_where=sa.text("status = 'scheduled'"))
    op.drop_index(
        "jobs_queue_by_type",
        table_name="jobs",
        schema="v7",
        postgresql_where=sa.text("status = 'queued' and not suspect"),
    )
    op.drop_index(
        "jobs_queue",
        table_name="jobs",
        schema="v7",
        postgresql_where=sa.text("status = 'queued' and not suspect"),
    )
    op.drop_index("jobs_dead", table_name="jobs", schema="v7", postgresql_where=sa.text("status = 'dead'"))
    op.drop_table("jobs", schema="v7")
    op.drop_index("idempotency_keys_created_at", table_name="idempotency_keys", schema="v7")
    op.drop_table("idempotency_keys", schema="v7")
    op.drop_index("finished_jobs_id", table_name="finished_jobs", schema="v7")
    op.drop_index("finished_jobs_finished_at", table_name="finished_jobs", schema="v7")
    op.drop_table("finished_jobs", schema="v7")
    op.drop_index("failures_job_id", table_name="failures", schema="v7")
    op.drop_index("failures_failed_at", table_name="failures", schema="v7")
    op.drop_table("failures", schema="v7")
    op.drop_table("event_types", schema="v7")
    op.execute("drop sequence v7.position")
