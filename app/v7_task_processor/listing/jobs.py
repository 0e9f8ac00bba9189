"""Jobs by the page and one by one; dead letters."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from ..chosen import Chosen
from ..errors import V7Error
from ..job import LIVE
from ..redaction import redacted
from ..schema import QUEUED, SCHEMA, Time, finished_jobs, jobs, workers
from .failures import FAILURES_MAX, FailureRow, failures_of
from .kind import kind_of
from .session import REDACT

LOOKED_MAX = 100_000
Condition = sa.ColumnElement[bool] | sa.TextClause
FINISHED_BY = {"finished_from", "finished_until"}
"""Parts of a filter that the partitions of the history serve."""
BY_QUEUE = {"event_type_id", "priority_min", "priority_max"}
"""Those that the queue's indexes serve."""
# The view, as a migration makes it: it is not in the metadata, since Alembic would take it for a table.
all_jobs = sa.table("all_jobs", *(sa.column(c.name, c.type) for c in finished_jobs.columns), schema=SCHEMA)


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """A job. `event_json` is its event_data, the text as sent: cut where the caller asked for that, and masked where
    the connection says so."""

    id: int
    status: str
    event_type_id: int
    user_id: int
    priority: int
    position: int
    event_json: str
    correlation_id: str
    retry_count: int
    max_retries: int | None
    attempt: int
    suspect: bool
    worker_id: int | None
    worker: str | None
    """The worker's name, while it is registered."""
    last_error: str | None
    dead_reason: str | None
    created_at: dt.datetime
    run_at: dt.datetime | None
    queued_at: dt.datetime | None
    claimed_at: dt.datetime | None
    dead_at: dt.datetime | None
    finished_at: dt.datetime | None
    redriven_from: int | None
    """The dead letter that it was redriven from, with edited event_data."""
    traceparent: str | None
    """The trace that its sender gave."""


class Order(NamedTuple):
    """By which columns a page goes, and from which end."""

    names: tuple[str, ...]
    descending: bool

    def of(self, rows: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        return [rows.c[name].desc() if self.descending else rows.c[name] for name in self.names]


NEWEST = Order(("id",), descending=True)
LAST_DEAD = Order(("dead_at", "id"), descending=True)
IN_LINE = Order(("priority", "position"), descending=False)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some jobs, and the id after which the next page begins; None: there is none."""

    jobs: list[JobRow]
    next_after: int | None


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """One job, with its last failures, the first of them first, and how many came before these (EARLIER_MAX at most);
    and what its last attempt logged, where that succeeded or put it off."""

    job: JobRow
    failures: list[FailureRow]
    earlier_failures: int
    log: str | None


class Filter(Chosen, frozen=True, kw_only=True, omit_defaults=True):
    """Which jobs, finished ones too."""

    finished_from: dt.datetime | None = None
    finished_until: dt.datetime | None = None


DEAD = Filter(status="dead")


def listed_page(
    connection: sa.Connection,
    which: Filter,
    order: str = "newest",
    *,
    after: int | None = None,
    limit: int = 20,
    event_chars_max: int | None = None,
) -> Page:
    """As a list shows them: the newest first, of dead letters the last that died; or `queue`, as they will be taken.

    Raises V7Error where `after` is not among them any more, of dead letters and of the queue."""
    chosen = queue_page if order == "queue" else dead_page if which.status == "dead" else jobs_page
    return chosen(connection, which, after=after, limit=limit, event_chars_max=event_chars_max)


def jobs_page(
    connection: sa.Connection,
    which: Filter,
    *,
    after: int | None = None,
    limit: int = 20,
    event_chars_max: int | None = None,
) -> Page:
    """Jobs of any status, the newest first.

    Where a filter has no index it looks at LOOKED_MAX of them: the page may then have fewer jobs than it could, or
    none, and the next one goes on after those that were looked at.
    """
    table = source(which)
    served = {*FINISHED_BY, "status"} if which.status in LIVE else FINISHED_BY
    inner = conditions(table, only(which, served))
    if after is not None:
        inner.append(table.c.id < after)
    rest = only(which, set(Filter.__struct_fields__) - served)
    return first(connection, table, inner, rest, NEWEST, limit, event_chars_max)


def first(
    connection: sa.Connection,
    table: sa.FromClause,
    inner: Sequence[Condition],
    rest: Filter,
    order: Order,
    limit: int,
    event_chars_max: int | None,
) -> Page:
    """By an index that serves `inner` and `order`; of the first LOOKED_MAX those that are as `rest` says."""
    if rest == Filter():
        statement = sa.select(*columns(table, event_chars_max)).where(*inner)
        return page(connection, statement.order_by(*order.of(table)), limit)
    looked = sa.select(table).where(*inner).order_by(*order.of(table)).limit(LOOKED_MAX).subquery("looked")
    statement = sa.select(*columns(looked, event_chars_max)).where(*conditions(looked, rest))
    found = page(connection, statement.order_by(*order.of(looked)), limit)
    if found.next_after is None:
        found = msgspec.structs.replace(found, next_after=last_looked(connection, table, inner, order))
    return found


def last_looked(
    connection: sa.Connection, table: sa.FromClause, inner: Sequence[Condition], order: Order
) -> int | None:
    """The last of those that were looked at; None: there are no others. Where it stands is asked of the index alone: to
    fetch as many rows again takes as long as to look at them."""
    place = [table.c[name] for name in order.names]
    last = sa.select(*place).where(*inner).order_by(*order.of(table)).offset(LOOKED_MAX - 1).limit(1)
    row = connection.execute(last).first()
    if row is None or "id" in order.names:
        return None if row is None else row.id
    return connection.scalars(sa.select(table.c.id).where(*inner, sa.tuple_(*place) == sa.tuple_(*row))).first()


def only(which: Chosen, names: set[str]) -> Filter:
    """Some parts of a filter."""
    return Filter(**{name: getattr(which, name) for name in names})


def queue_page(
    connection: sa.Connection,
    which: Filter,
    *,
    after: int | None = None,
    limit: int = 20,
    event_chars_max: int | None = None,
) -> Page:
    """Queued jobs in the order in which they will be taken, suspects aside; with a filter that the queue's indexes do
    not serve, as far as jobs_page looks. Raises V7Error if `after` left it."""
    inner: list[Condition] = [QUEUED, *conditions(jobs, only(which, BY_QUEUE))]
    if after is not None:
        where = find(connection, [jobs.c.priority, jobs.c.position], QUEUED, after, "in the queue")
        inner.append(sa.tuple_(jobs.c.priority, jobs.c.position) > sa.tuple_(*where))
    rest = only(which, set(Filter.__struct_fields__) - BY_QUEUE - {"status"})
    return first(connection, jobs, inner, rest, IN_LINE, limit, event_chars_max)


def dead_page(
    connection: sa.Connection,
    which: Filter = DEAD,
    *,
    after: int | None = None,
    limit: int = 20,
    event_chars_max: int | None = None,
) -> Page:
    """Dead letters, the last that died first; with a filter, as far as jobs_page looks. By id they would be sought
    among all that came since. Raises V7Error if `after` is none any more."""
    inner = [has_status(jobs, "dead")]
    if after is not None:
        where = find(connection, [jobs.c.dead_at, jobs.c.id], inner[0], after, "among the dead letters")
        inner.append(sa.tuple_(jobs.c.dead_at, jobs.c.id) < sa.tuple_(*where))
    rest = only(which, set(Filter.__struct_fields__) - {"status"})
    return first(connection, jobs, inner, rest, LAST_DEAD, limit, event_chars_max)


def detail(
    connection: sa.Connection, job_id: int, event_chars_max: int | None = None, failures_max: int = FAILURES_MAX
) -> Detail | None:
    """One job, live or finished."""
    statement = sa.select(all_jobs.c.log, *columns(all_jobs, event_chars_max)).where(all_jobs.c.id == job_id).limit(1)
    found = connection.execute(statement).mappings().first()
    if found is None:
        return None
    row = dict(found)
    log = row.pop("log")
    last, earlier = failures_of(connection, job_id, failures_max)
    return Detail(job=job_row(connection, row), failures=last, earlier_failures=earlier, log=log)


def source(which: Filter) -> sa.FromClause:
    """Where such jobs stand."""
    if which.status is None:
        ended = which.finished_from is not None or which.finished_until is not None
        return finished_jobs if ended else all_jobs
    return jobs if which.status in LIVE else finished_jobs


def columns(table: sa.FromClause, event_chars_max: int | None) -> list[sa.ColumnElement[Any]]:
    """Those of JobRow. jobs has no finished_at; the worker's name is looked up for the rows that are shown."""
    event = sa.cast(table.c.event_data, sa.Text)
    named = sa.select(workers.c.name).where(workers.c.id == table.c.worker_id)
    special: dict[str, sa.ColumnElement[Any]] = {
        "event_json": event if event_chars_max is None else sa.func.left(event, event_chars_max),
        "worker": named.correlate(table).scalar_subquery(),
        "finished_at": table.c.finished_at if "finished_at" in table.c else sa.null(),
    }
    names = JobRow.__struct_fields__
    return [(special[name] if name in special else table.c[name]).label(name) for name in names]


def has_status(table: sa.FromClause, status: str) -> sa.ColumnElement[bool]:
    """Written out, not as a parameter, so that the partial indexes serve it."""
    return table.c.status == sa.literal(status, sa.Text, literal_execute=True)


def conditions(table: sa.FromClause, which: Filter) -> list[sa.ColumnElement[bool]]:
    c = table.c
    finished_at = c.finished_at if "finished_at" in c else sa.cast(sa.null(), Time)
    asked: list[tuple[object, Callable[[], sa.ColumnElement[bool]]]] = [
        (which.status, lambda: has_status(table, str(which.status))),
        (which.event_type_id, lambda: c.event_type_id == which.event_type_id),
        (which.user_id, lambda: c.user_id == which.user_id),
        (which.priority_min, lambda: c.priority >= which.priority_min),
        (which.priority_max, lambda: c.priority <= which.priority_max),
        (which.correlation_id, lambda: c.correlation_id == which.correlation_id),
        (which.attempt_min, lambda: c.attempt >= which.attempt_min),
        (which.error, lambda: c.last_error.icontains(which.error, autoescape=True)),
        (which.error_kind, lambda: kind_of(table) == which.error_kind),
        (which.created_from, lambda: c.created_at >= which.created_from),
        (which.created_until, lambda: c.created_at < which.created_until),
        (which.finished_from, lambda: finished_at >= which.finished_from),
        (which.finished_until, lambda: finished_at < which.finished_until),
    ]
    return [condition() for value, condition in asked if value is not None]


def find(
    connection: sa.Connection,
    place: list[sa.Column[Any]],
    among: Condition,
    job_id: int,
    words: str,
) -> tuple[Any, ...]:
    """Where a page begins: the values of `place` that the job has which the last page ended with."""
    row = connection.execute(sa.select(*place).where(jobs.c.id == job_id, among)).first()
    if row is None:
        raise V7Error(f"Job {job_id} is not {words} (any more), so nothing comes after it. List from the start.")
    return tuple(row)


def page(connection: sa.Connection, statement: sa.Select[Any], limit: int) -> Page:
    rows = [job_row(connection, row) for row in connection.execute(statement.limit(limit + 1)).mappings()]
    return Page(jobs=rows[:limit], next_after=rows[limit - 1].id if len(rows) > limit else None)


def job_row(connection: sa.Connection, row: Mapping[Any, Any]) -> JobRow:
    names = connection.get_execution_options().get(REDACT, frozenset())
    return JobRow(**{**row, "event_json": redacted(row["event_json"], names)})
