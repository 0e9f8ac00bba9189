"""Let nodes run under a role that owns nothing: the days of finished_jobs are made and dropped in the owner's name."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Each names all that it touches with its schema; the path keeps what a caller put into his own from being found first.
# Until now whoever may see the schema may call them: in the owner's name that must be granted.
FUNCTIONS = ("add_days(integer)", "drop_oldest_day(integer)")


def upgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"alter function v7.{function} security definer set search_path = pg_catalog, pg_temp")
        op.execute(f"revoke execute on function v7.{function} from public")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"grant execute on function v7.{function} to public")
        op.execute(f"alter function v7.{function} security invoker reset search_path")
