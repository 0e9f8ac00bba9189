"""How many jobs of an event type may run at once, over the whole cluster."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

LIMIT = "So many of its jobs run at once, on all nodes together; null: no limit."

# At once, but under a lock that waits for every reader, and everybody waits behind it: so it waits for a second at a
# time, and lets the others pass in between.
ADD = """
do $$
begin
    set local lock_timeout = '1s';
    for try in 1..60 loop
        begin
            alter table v7.event_types add column concurrency_limit integer;
            return;
        exception when lock_not_available then
            if try = 60 then raise; end if;
            perform pg_sleep(0.5);
        end;
    end loop;
end $$
"""


def upgrade() -> None:
    op.execute(ADD)
    op.execute(f"comment on column v7.event_types.concurrency_limit is '{LIMIT}'")
    op.create_check_constraint(
        op.f("event_types_concurrency_limit"), "event_types", "concurrency_limit >= 1", schema="v7"
    )
    # Each claim reads the limits while there are any: not all of a hundred thousand types for it.
    op.create_index(
        "event_types_limited",
        "event_types",
        ["event_type_id"],
        schema="v7",
        postgresql_where=sa.text("concurrency_limit is not null"),
    )


def downgrade() -> None:
    op.drop_index("event_types_limited", table_name="event_types", schema="v7")
    op.drop_constraint(op.f("event_types_concurrency_limit"), "event_types", schema="v7", type_="check")
    op.drop_column("event_types", "concurrency_limit", schema="v7")
