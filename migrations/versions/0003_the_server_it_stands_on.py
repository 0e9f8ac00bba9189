"""On which server the database stands, so that a failover or a restore gives out no id a second time."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "server",
        sa.Column(
            "one_row",
            sa.Boolean(),
            server_default=sa.true(),
            nullable=False,
            comment="Always true: there is one row.",
        ),
        sa.Column(
            "system_identifier",
            sa.BigInteger(),
            nullable=True,
            comment="The cluster, by pg_control_system(); null: not seen yet.",
        ),
        sa.Column(
            "timeline",
            sa.BigInteger(),
            nullable=True,
            comment="Its timeline, a new one after each failover; null: not seen yet.",
        ),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first seen there.",
        ),
        sa.CheckConstraint("one_row", name=op.f("server_one_row")),
        sa.PrimaryKeyConstraint("one_row", name=op.f("server_pkey")),
        schema="v7",
        comment="Where this database stands. Where that changes, ids and positions jump, so that none is given out twice.",
    )
    # Its first connection fills it in: who migrates may not be allowed to ask.
    op.execute("insert into v7.server default values")


def downgrade() -> None:
    op.drop_table("server", schema="v7")
