"""What processes have counted, for metrics that sum over all of them and go on after restarts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "metrics",
        sa.Column(
            "source",
            sa.Uuid(),
            nullable=False,
            comment="A process, by a number of its own making; all zeros: the sum of those that ended.",
        ),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="By name|event_type_id|label: a counter's number; a histogram's buckets, the rest, and the sum.",
        ),
        sa.Column(
            "written_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it last changed; after a minute without a change it is added to the sum.",
        ),
        sa.PrimaryKeyConstraint("source", name=op.f("metrics_pkey")),
        schema="v7",
        comment="What processes have counted, for GET /metrics: one row each, and one for all that ended.",
    )
    # Which types came first, so that a scrape need not sort them all.
    op.create_index("event_types_created_at", "event_types", ["created_at", "event_type_id"], unique=False, schema="v7")
    op.execute("insert into v7.metrics (source, counts) values ('00000000-0000-0000-0000-000000000000', '{}')")


def downgrade() -> None:
    op.drop_index("event_types_created_at", table_name="event_types", schema="v7")
    op.drop_table("metrics", schema="v7")
