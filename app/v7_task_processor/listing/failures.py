"""Attempts that failed: the last ones of a job, one by its number, the last one of each of many jobs."""

import datetime as dt
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from ..schema import failures

FAILURES_MAX = 100
"""So many of one job are read: it may have failed for weeks, and each holds up to 40 kB of text."""
EARLIER_MAX = 10_000
"""So many that came before them are counted."""


class FailureRow(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed."""

    attempt: int
    error_type: str
    message: str
    traceback: str | None
    worker: str
    claimed_at: dt.datetime | None
    failed_at: dt.datetime
    log: str | None
    """What it logged before it failed, the last lines; None: nothing, or it went with its process."""


COLUMNS = [failures.c[name] for name in FailureRow.__struct_fields__]
LAST_FIRST = (failures.c.attempt.desc(), failures.c.id.desc())


def failures_of(connection: sa.Connection, job_id: int, at_most: int) -> tuple[list[FailureRow], int]:
    """The last failures of a job, the first of them first; and how many came before, EARLIER_MAX at most."""
    own = failures.c.job_id == job_id
    statement = sa.select(*COLUMNS).where(own).order_by(*LAST_FIRST).limit(at_most)
    last = [FailureRow(**row) for row in connection.execute(statement).mappings()]
    earlier = 0
    if len(last) == at_most:
        # The order names the index: where most failures are of one job, a scan of the table would pass for cheaper.
        head = sa.select(failures.c.attempt).where(own).order_by(failures.c.attempt).limit(at_most + EARLIER_MAX)
        earlier = connection.scalars(sa.select(sa.func.count()).select_from(head.subquery())).one() - at_most
    return last[::-1], earlier


def failure(connection: sa.Connection, job_id: int, attempt: int) -> FailureRow | None:
    """How an attempt of a job failed; None: it did not, or it was pruned."""
    # As a bigint, since whoever asks may ask for any number.
    own = (failures.c.job_id == job_id, failures.c.attempt == sa.cast(attempt, sa.BigInteger))
    row = connection.execute(sa.select(*COLUMNS).where(*own).order_by(*LAST_FIRST).limit(1)).mappings().first()
    return None if row is None else FailureRow(**row)


def last_failures(connection: sa.Connection, job_ids: Sequence[int]) -> dict[int, FailureRow]:
    """The last recorded failure of each of these jobs that has one."""
    asked = sa.any_(sa.cast(list(job_ids), ARRAY(sa.BigInteger)))
    statement = sa.select(failures.c.job_id, *COLUMNS).ext(distinct_on(failures.c.job_id))
    rows = connection.execute(statement.where(failures.c.job_id == asked).order_by(failures.c.job_id, *LAST_FIRST))
    return {row["job_id"]: FailureRow(**{c.name: row[c.name] for c in COLUMNS}) for row in rows.mappings()}
