"""Which is the oldest release that can work beside this schema, so that old and new ones run side by side."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "server",
        sa.Column(
            "oldest_schema",
            sa.Text(),
            server_default="0010",
            nullable=False,
            comment="The oldest version of the schema that this one still serves: what came since only adds.",
        ),
        schema="v7",
    )


def downgrade() -> None:
    op.drop_column("server", "oldest_schema", schema="v7")
