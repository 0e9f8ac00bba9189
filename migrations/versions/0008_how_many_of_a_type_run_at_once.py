"""How many jobs of an event type may run at once, over the whole cluster."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LIMIT = "So many of its jobs run at once, on all nodes together; null: no limit."
# There is a row for each event type, and no event waits for it: to read them all takes milliseconds.
ADD = """
alter table v7.event_types
    -- squawk-ignore prefer-bigint-over-int
    add column concurrency_limit integer,
    -- squawk-ignore constraint-missing-not-valid
    add constraint event_types_concurrency_limit check (concurrency_limit >= 1)
"""
# Each claim reads the limits while there are any: not all of a hundred thousand types for it.
INDEX = """
-- squawk-ignore require-concurrent-index-creation
create index event_types_limited on v7.event_types (event_type_id) where concurrency_limit is not null
"""


def upgrade() -> None:
    op.execute(ADD)
    op.execute(f"comment on column v7.event_types.concurrency_limit is '{LIMIT}'")
    op.execute(INDEX)


def downgrade() -> None:
    op.execute("drop index v7.event_types_limited")
    op.execute("alter table v7.event_types drop column concurrency_limit")
