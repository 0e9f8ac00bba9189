"""Operations, and what people did."""

import datetime as dt
from typing import Any

import msgspec
import sqlalchemy as sa

from ..schema import audit, operations
from .jobs import Filter


class OperationRow(msgspec.Struct, frozen=True, kw_only=True):
    """An act on all jobs that a filter names, and how far it is."""

    id: int
    act: str
    filter: Filter
    run_at: dt.datetime | None
    """reschedule: until when they wait."""
    priority: int | None
    """priority: the one that they get."""
    who: str
    through: str
    status: str
    """waiting, running, done, stopped or failed."""
    last_id: int
    seen_id: int
    done: int
    skipped: int
    held: int
    """Jobs that another transaction holds, to which it comes back."""
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    carried_by: str | None
    error: str | None


class OperationPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some operations, and the id after which the next page begins; None: there is none."""

    operations: list[OperationRow]
    next_after: int | None


class Given(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came with an act."""

    priority: int | None = None
    run_at: dt.datetime | None = None
    paused_by: str | None = None
    new_job_id: int | None = None
    """redrive with another event: the job that was made."""
    concurrency_limit: int | None = None
    node_id: int | None = None
    """drain and resume of a node."""
    drained_by: str | None = None


class ActRow(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did."""

    id: int
    at: dt.datetime
    who: str
    through: str
    act: str
    job_id: int | None
    event_type_id: int | None
    operation_id: int | None
    filter: Filter | None
    given: Given | None
    jobs: int | None
    """With how many jobs; None: its operation goes on, or it was done with none."""


class ActPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some acts, and the id after which the next page begins; None: there is none."""

    acts: list[ActRow]
    next_after: int | None


def operations_page(connection: sa.Connection, *, after: int | None = None, limit: int = 20) -> OperationPage:
    """Operations, the newest first."""
    rows, next_after = page(connection, sa.select(*operation_columns()), operations.c.id, after, limit)
    return OperationPage(operations=[operation_of(row) for row in rows], next_after=next_after)


def operation(connection: sa.Connection, operation_id: int) -> OperationRow | None:
    statement = sa.select(*operation_columns()).where(operations.c.id == operation_id)
    row = connection.execute(statement).mappings().first()
    return None if row is None else operation_of(dict(row))


def acts_page(
    connection: sa.Connection, *, job_id: int | None = None, after: int | None = None, limit: int = 20
) -> ActPage:
    """What people did, the last first; with one job, or at all."""
    statement = sa.select(audit)
    if job_id is not None:
        statement = statement.where(audit.c.job_id == job_id)
    rows, next_after = page(connection, statement, audit.c.id, after, limit)
    return ActPage(acts=[act_of(row) for row in rows], next_after=next_after)


def operation_columns() -> list[sa.ColumnElement[Any]]:
    names = [name for name in OperationRow.__struct_fields__ if name != "held"]
    return [*(operations.c[name] for name in names), sa.func.cardinality(operations.c.held).label("held")]


def operation_of(row: dict[str, Any]) -> OperationRow:
    return OperationRow(**{**row, "filter": msgspec.convert(row["filter"], Filter)})


def act_of(row: dict[str, Any]) -> ActRow:
    chosen, given = row["filter"], row["given"]
    kept = {
        "filter": None if chosen is None else msgspec.convert(chosen, Filter),
        "given": None if given is None else msgspec.convert(given, Given),
    }
    return ActRow(**{**row, **kept})


def page(
    connection: sa.Connection, statement: sa.Select[Any], place: sa.Column[Any], after: int | None, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    if after is not None:
        statement = statement.where(place < after)
    found = connection.execute(statement.order_by(place.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) for row in found]
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
