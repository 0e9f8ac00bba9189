"""What was counted minute by minute, and nodes that are told to take nothing."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# There is a row for each node and worker that lives: to read them all takes less than a millisecond.
ADD = """
alter table v7.workers
    add column drained_at timestamptz,
    add column drained_by text,
    add column timeouts jsonb,
    -- squawk-ignore constraint-missing-not-valid
    add constraint workers_drained check ((drained_at is null) = (drained_by is null))
"""
COMMENTS = {
    "drained_at": "Nodes: since when it takes no more jobs; null: it takes them.",
    "drained_by": "Nodes: who drained it, and by what.",
    "timeouts": "Nodes: seconds that an attempt may take, by event type; other: of types without a handler of their own.",
}


def upgrade() -> None:
    op.execute(ADD)
    for column, says in COMMENTS.items():
        op.execute(f"comment on column v7.workers.{column} is '{says}'")
    numbers = {
        "received": "Events that the API acknowledged.",
        "succeeded": "Attempts that succeeded.",
        "failed": "Attempts that failed, were discarded or crashed.",
        "dead": "Jobs that became dead letters.",
        "retried": "Failures after which the job is tried again.",
    }
    op.create_table(
        "minutes",
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False, comment="The minute that began."),
        sa.Column(
            "noted_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
            comment="When it was noted, seconds after that.",
        ),
        *(
            sa.Column(name, sa.Double(), nullable=False, comment=f"{says} In all, until then.")
            for name, says in numbers.items()
        ),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The same by event type, and how long handlers ran, as in metrics. Null after two hours.",
        ),
        sa.PrimaryKeyConstraint("minute", name=op.f("minutes_pkey")),
        schema="v7",
        comment="What all processes had counted when a minute began; the difference of two is what came between.",
    )


def downgrade() -> None:
    op.drop_table("minutes", schema="v7")
    op.execute("alter table v7.workers drop column drained_at, drop column drained_by, drop column timeouts")
