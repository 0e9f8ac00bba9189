"""The state of the server itself, as far as the queue depends on it."""

import datetime as dt

import msgspec
import sqlalchemy as sa

from ..schema import SCHEMA
from .session import now


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """An open transaction of some client."""

    pid: int
    application: str
    user: str
    state: str
    age_seconds: float


activity = sa.table(
    "pg_stat_activity",
    *(sa.column(name, sa.Text) for name in ("application_name", "usename", "state", "backend_type")),
    sa.column("pid", sa.Integer),
    sa.column("xact_start", sa.DateTime(timezone=True)),
)


def oldest_transaction(connection: sa.Connection) -> Transaction | None:
    """The client's transaction that is open for the longest, of those that this user may see; our own aside."""
    statement = (
        sa.select(
            activity.c.pid, activity.c.application_name, activity.c.usename, activity.c.state, activity.c.xact_start
        )
        .where(activity.c.xact_start.is_not(None), activity.c.backend_type == "client backend")
        .where(activity.c.pid != sa.func.pg_backend_pid())
        .order_by(activity.c.xact_start)
        .limit(1)
    )
    row = connection.execute(statement).first()
    if row is None:
        return None
    age = (now(connection) - row.xact_start).total_seconds()
    return Transaction(
        pid=row.pid,
        application=row.application_name or "",
        user=row.usename or "",
        state=row.state or "",
        age_seconds=max(0.0, age),
    )


def sees_transactions(connection: sa.Connection) -> bool:
    """Whether this user may see those of other roles: else all but the pid of such a session is null."""
    return bool(connection.execute(sa.select(sa.func.pg_has_role("pg_read_all_stats", "usage"))).scalar_one())


def missing_days(connection: sa.Connection, days_ahead: int) -> list[dt.date]:
    """Of today and the days ahead (UTC), those without a partition of finished_jobs."""
    today = now(connection).astimezone(dt.UTC).date()
    days = [today + dt.timedelta(days=ahead) for ahead in range(days_ahead + 1)]
    names = [f"{SCHEMA}.finished_jobs_{day:%Y%m%d}" for day in days]
    found = connection.execute(sa.select(*(sa.func.to_regclass(name).is_not(None) for name in names))).one()
    return [day for day, exists in zip(days, found, strict=True) if not exists]
