"""Dead letters by type and kind of error, and how many came lately."""

import datetime as dt
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from ..schema import jobs
from .jobs import LAST_DEAD, all_jobs, has_status
from .kind import kind_of

LOOKED_MAX = 20_000
"""Of the newest dead letters; a million of them would take a second."""
LOOKED_OF_TYPE_MAX = 100_000
"""Where most that are looked at are not grouped: as far as a page of jobs looks."""
GROUPS_MAX = 50


class DeadGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters of one type that died of one kind of error. `kind` is what stands before the first colon of the
    last error; `sample_id` is the newest of them, `sample_error` its error."""

    event_type_id: int
    kind: str
    jobs: int
    first_at: dt.datetime
    last_at: dt.datetime
    sample_id: int
    sample_error: str


class DeadGroups(msgspec.Struct, frozen=True, kw_only=True):
    """Groups, the largest first. `looked_at`: so many of the newest dead letters, of all types; `all_seen`: there are
    no others, nor other groups."""

    groups: list[DeadGroup]
    looked_at: int
    all_seen: bool


def dead_groups(connection: sa.Connection, event_type_id: int | None = None) -> DeadGroups:
    """The newest dead letters in groups; of one type those among the newest of all, since no index tells them apart."""
    statement = sa.select(
        jobs.c.id,
        jobs.c.event_type_id,
        jobs.c.dead_at,
        jobs.c.last_error,
        jobs.c.dead_reason,
    ).where(has_status(jobs, "dead"))
    looked_max = LOOKED_MAX if event_type_id is None else LOOKED_OF_TYPE_MAX
    head = statement.order_by(*LAST_DEAD.of(jobs)).limit(looked_max).subquery()
    kind = kind_of(head).label("kind")
    count = sa.func.count().label("found")
    grouped = (
        sa.select(
            head.c.event_type_id,
            kind,
            count,
            sa.func.min(head.c.dead_at).label("first_at"),
            sa.func.max(head.c.dead_at).label("last_at"),
            sa.func.max(head.c.id).label("sample_id"),
        )
        .group_by(head.c.event_type_id, kind)
        .order_by(count.desc(), head.c.event_type_id, kind)
    )
    if event_type_id is not None:
        grouped = grouped.where(head.c.event_type_id == event_type_id)
    rows = connection.execute(grouped).all()
    looked_at = sum(row.found for row in rows)
    if event_type_id is not None:
        seen = sa.select(jobs.c.id).where(has_status(jobs, "dead")).order_by(*LAST_DEAD.of(jobs)).limit(looked_max)
        looked_at = connection.scalars(sa.select(sa.func.count()).select_from(seen.subquery())).one()
    samples = errors_of(connection, [row.sample_id for row in rows[:GROUPS_MAX]])
    groups = [
        DeadGroup(
            event_type_id=row.event_type_id,
            kind=row.kind or "",
            jobs=row.found,
            first_at=row.first_at,
            last_at=row.last_at,
            sample_id=row.sample_id,
            sample_error=samples.get(row.sample_id, ""),
        )
        for row in rows[:GROUPS_MAX]
    ]
    return DeadGroups(groups=groups, looked_at=looked_at, all_seen=looked_at < looked_max and len(rows) <= GROUPS_MAX)


def errors_of(connection: sa.Connection, ids: Sequence[int]) -> dict[int, str]:
    error = sa.func.left(sa.func.coalesce(jobs.c.last_error, jobs.c.dead_reason, ""), 1000)
    statement = sa.select(jobs.c.id, error).where(jobs.c.id == sa.any_(sa.cast(list(ids), ARRAY(sa.BigInteger))))
    return {job_id: text for job_id, text in connection.execute(statement)}  # noqa: C416 (a Row is no pair for mypy)


def died_since(connection: sa.Connection, begin: dt.datetime, end: dt.datetime) -> int:
    """How many of today's dead letters died between the two; LOOKED_MAX at most."""
    died = sa.select(jobs.c.dead_at).where(has_status(jobs, "dead"), jobs.c.dead_at > begin, jobs.c.dead_at <= end)
    head = died.order_by(jobs.c.dead_at.desc()).limit(LOOKED_MAX).subquery()
    return connection.scalars(sa.select(sa.func.count()).select_from(head)).one()


def statuses(connection: sa.Connection, ids: Sequence[int]) -> dict[int, str]:
    """Where each of these jobs stands, also finished ones; those that are not named do not exist (any more)."""
    asked = sa.any_(sa.cast(list(ids), ARRAY(sa.BigInteger)))
    rows = connection.execute(sa.select(all_jobs.c.id, all_jobs.c.status).where(all_jobs.c.id == asked))
    return {job_id: status for job_id, status in rows}  # noqa: C416
