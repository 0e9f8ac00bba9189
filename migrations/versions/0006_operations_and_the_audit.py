"""Acts on many jobs at once, and who did what."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Order of asking."),
        sa.Column("act", sa.Text(), nullable=False, comment="cancel, retry, reschedule, priority or redrive."),
        sa.Column(
            "filter",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Which jobs, as the listing's filters; {}: all.",
        ),
        sa.Column(
            "run_at", sa.DateTime(timezone=True), nullable=True, comment="reschedule: until when they wait. Else null."
        ),
        sa.Column("priority", sa.BigInteger(), nullable=True, comment="priority: the one that they get. Else null."),
        sa.Column("who", sa.Text(), nullable=False, comment="Who asked: the name of a key, or a user of the system."),
        sa.Column("through", sa.Text(), nullable=False, comment="By what it was asked: api, cli or dashboard."),
        sa.Column(
            "status",
            sa.Text(),
            server_default="waiting",
            nullable=False,
            comment="waiting, running, done, stopped, failed.",
        ),
        sa.Column(
            "last_id",
            sa.BigInteger(),
            nullable=False,
            comment="The newest job when it was asked; later ones are not meant.",
        ),
        sa.Column(
            "seen_id",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="It has gone by all jobs up to this one.",
        ),
        sa.Column(
            "done", sa.BigInteger(), server_default="0", nullable=False, comment="With how many jobs it was done."
        ),
        sa.Column(
            "skipped",
            sa.BigInteger(),
            server_default="0",
            nullable=False,
            comment="Jobs that were meant and changed before their turn, or that Postgres refused to change.",
        ),
        sa.Column(
            "held",
            postgresql.ARRAY(sa.BigInteger()),
            server_default="{}",
            nullable=False,
            comment="Jobs that it went by while another transaction held them: it comes back to them.",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was asked for.",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True, comment="When its first batch began."),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended, done or not."),
        sa.Column("carried_by", sa.Text(), nullable=True, comment="The process that carries it out, or did last."),
        sa.Column(
            "carried_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When that one was last at it; 5 seconds later another may be.",
        ),
        sa.Column(
            "error", sa.Text(), nullable=True, comment="failed: why. Else the last refusal of Postgres to change a job."
        ),
        sa.CheckConstraint(
            "(act = 'priority') = (priority is not null)", name=op.f("operations_priority_has_priority")
        ),
        sa.CheckConstraint(
            "(act = 'reschedule') = (run_at is not null)", name=op.f("operations_reschedule_has_run_at")
        ),
        sa.CheckConstraint(
            "(finished_at is not null) = (status in ('done', 'stopped', 'failed'))",
            name=op.f("operations_finished_has_time"),
        ),
        sa.CheckConstraint(
            "act in ('cancel', 'retry', 'reschedule', 'priority', 'redrive')", name=op.f("operations_act")
        ),
        sa.CheckConstraint("run_at < '9999-01-01 00:00:00+00'", name=op.f("operations_run_at_is_in_reach")),
        sa.CheckConstraint(
            "status in ('waiting', 'running', 'done', 'stopped', 'failed')", name=op.f("operations_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("operations_pkey")),
        schema="v7",
        comment="Acts on all jobs that a filter names, carried out batch by batch. Kept for 400 days.",
    )
    op.create_index(
        "operations_unfinished",
        "operations",
        ["id"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("finished_at is null"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="Order of recording."),
        sa.Column(
            "at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was done.",
        ),
        sa.Column("who", sa.Text(), nullable=False, comment="Who did it: the name of a key, or a user of the system."),
        sa.Column("through", sa.Text(), nullable=False, comment="By what: api, cli or dashboard."),
        sa.Column(
            "act",
            sa.Text(),
            nullable=False,
            comment="cancel, retry, reschedule, priority, redrive; pause, resume, limit; drain; stop (an operation).",
        ),
        sa.Column(
            "job_id",
            sa.BigInteger(),
            nullable=True,
            comment="The job that it was done with; null: another thing, or many jobs.",
        ),
        sa.Column(
            "event_type_id", sa.BigInteger(), nullable=True, comment="pause, resume, limit: the type. Else null."
        ),
        sa.Column(
            "operation_id",
            sa.BigInteger(),
            nullable=True,
            comment="The operation that did it, or was stopped. Null: neither.",
        ),
        sa.Column(
            "filter",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Operations: which jobs. Else null.",
        ),
        sa.Column(
            "given",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="What was given with it: priority, run_at, paused_by, the new job. Never events.",
        ),
        sa.Column(
            "jobs",
            sa.BigInteger(),
            nullable=True,
            comment="With how many jobs it was done; null: its operation goes on, or it is of none.",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_pkey")),
        schema="v7",
        comment="What people did, by API or command line, written with the act itself. Kept for 400 days.",
    )
    op.create_index("audit_at", "audit", ["at"], unique=False, schema="v7")
    op.create_index(
        "audit_job_id", "audit", ["job_id"], unique=False, schema="v7", postgresql_where=sa.text("job_id is not null")
    )
    op.create_index(
        "audit_operation_id",
        "audit",
        ["operation_id"],
        unique=False,
        schema="v7",
        postgresql_where=sa.text("operation_id is not null"),
    )


def downgrade() -> None:
    op.drop_table("audit", schema="v7")
    op.drop_table("operations", schema="v7")
