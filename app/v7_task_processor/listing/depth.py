"""How many jobs stand where, since when, of which types, and how fast they end.

Counts are bounded: past COUNT_MAX a number is a floor, its status stands in `capped`, and people read "10,000+".
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from ..schema import QUEUED, event_types, failures, finished_jobs, jobs
from .jobs import FINISHED, LIVE, has_status
from .nodes import nodes, serves
from .session import now

COUNT_MAX = 10_000
ENDED_MAX = 100_000
PRIORITIES_MAX = 100
"""So many priorities of a type are looked at for its oldest job."""
STEPS_MAX = 10_000
NAMED_MAX = 100
"""So many types an overview names."""


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs stand in each status. Those in `capped` are floors."""

    scheduled: int
    queued: int
    running: int
    dead: int
    capped: list[str]


class Oldest(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the queued job that waits longest has waited; `at_least`: one that waits longer may exist."""

    queued_at: dt.datetime
    age_seconds: float
    at_least: bool


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in the last `seconds`. Those in `capped` are floors, of the newest part of that time."""

    seconds: int
    succeeded: int
    cancelled: int
    failed_attempts: int
    succeeded_per_second: float
    capped: list[str]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the whole. `unserved`: types with queued jobs for which no node has a handler."""

    now: dt.datetime
    jobs: Depth
    oldest: Oldest | None
    paused: list[int]
    unserved: list[int]
    nodes: int
    nodes_lost: int
    workers: int
    last_minute: Ended
    last_hour: Ended


def overview(connection: sa.Connection) -> Overview:
    """Everything at a glance."""
    moment = now(connection)
    listed = nodes(connection)
    alive = [node for node in listed if node.alive]
    waiting = waiting_by_type(connection, moment)
    paused = sa.select(event_types.c.event_type_id).where(event_types.c.paused_at.is_not(None))
    return Overview(
        now=moment,
        jobs=depth(connection),
        oldest=oldest(connection, moment, waiting),
        paused=list(connection.scalars(paused.order_by(event_types.c.event_type_id).limit(NAMED_MAX))),
        unserved=[each for each in waiting if not serves(listed, each)][:NAMED_MAX],
        nodes=len(alive),
        nodes_lost=len(listed) - len(alive),
        workers=sum(len(node.workers) for node in alive),
        last_minute=ended(connection, moment, 60),
        last_hour=ended(connection, moment, 3600),
    )


def depth(connection: sa.Connection) -> Depth:
    """How many jobs stand in each status."""
    counts = totals(elsewhere(connection))
    counts["queued"] = counts.get("queued", 0) + in_line(connection)
    return capped(counts, set())


def in_line(connection: sa.Connection) -> int:
    """How many jobs stand in the plain queue, COUNT_MAX + 1 at most; by its index alone, where vacuum has been."""
    place = jobs.c.priority, jobs.c.position
    head = sa.select(*place).where(QUEUED).order_by(*place).limit(sa.literal(COUNT_MAX + 1, literal_execute=True))
    return connection.scalars(sa.select(sa.func.count()).select_from(head.subquery())).one()


def depth_by_type(
    connection: sa.Connection,
    event_type_ids: Sequence[int],
    beyond: dict[tuple[str, int], int],
    count_max: int = COUNT_MAX,
) -> dict[int, Depth]:
    """How many jobs of each type stand in each status; `beyond`: those that are not in the plain queue, of which up
    to `count_max` of each type are counted."""
    floors = {status for status, count in totals(beyond).items() if count > COUNT_MAX}
    asked = sa.func.unnest(sa.cast(list(event_type_ids), ARRAY(sa.BigInteger))).table_valued("id").render_derived()
    # No column that its index has not: then the table is not read where vacuum has been.
    own = sa.select(jobs.c.event_type_id).where(QUEUED & (jobs.c.event_type_id == asked.c.id)).correlate(asked)
    own = own.order_by(jobs.c.priority, jobs.c.position).limit(sa.literal(count_max + 1, literal_execute=True))
    counted = sa.select(sa.func.count().label("jobs")).select_from(own.subquery()).correlate(asked).lateral()
    rows = connection.execute(sa.select(asked.c.id, counted.c.jobs).join_from(asked, counted, sa.true()))
    found = {}
    for number, queued in rows:
        counts = {status: count for (status, each), count in beyond.items() if each == number}
        counts["queued"] = counts.get("queued", 0) + queued
        found[number] = capped(counts, floors)
    return found


def totals(beyond: dict[tuple[str, int], int]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (status, _), count in beyond.items():
        counts[status] = counts.get(status, 0) + count
    return counts


def first(where: sa.ColumnElement[bool] | sa.TextClause, *order: Any) -> sa.Select[Any]:
    """The head of an index. The order names the index, since a count by itself may be planned as a scan of all."""
    limit = sa.literal(COUNT_MAX + 1, literal_execute=True)
    return sa.select(jobs.c.status, jobs.c.event_type_id).where(where).order_by(*order).limit(limit)


def elsewhere(connection: sa.Connection) -> dict[tuple[str, int], int]:
    """(status, type) of what does not stand in the plain queue, COUNT_MAX + 1 of each status at most."""
    suspects = has_status(jobs, "queued") & jobs.c.suspect
    heads = sa.union_all(
        first(suspects, jobs.c.priority, jobs.c.position),
        first(has_status(jobs, "running"), jobs.c.worker_id),
        first(has_status(jobs, "scheduled"), jobs.c.run_at),
        first(has_status(jobs, "dead"), jobs.c.dead_at, jobs.c.id),
    ).subquery()
    grouped = sa.select(heads.c.status, heads.c.event_type_id, sa.func.count())
    rows = connection.execute(grouped.group_by(heads.c.status, heads.c.event_type_id))
    return {(status, number): count for status, number, count in rows}


def capped(counts: dict[str, int], floors: set[str]) -> Depth:
    """`floors`: statuses of which not all jobs were looked at."""
    over = [name for name in LIVE if counts.get(name, 0) > COUNT_MAX or (name in floors and name in counts)]
    return Depth(**{name: min(counts.get(name, 0), COUNT_MAX) for name in LIVE}, capped=over)


def waiting_by_type(
    connection: sa.Connection, moment: dt.datetime, after: int | None = None, steps_max: int | None = None
) -> dict[int, Oldest]:
    """For each type with queued jobs, suspects among them, the one that waits longest."""
    found = oldest_by_type(connection, moment, after, steps_max)
    suspects = sa.select(jobs.c.event_type_id, jobs.c.queued_at).where(has_status(jobs, "queued") & jobs.c.suspect)
    if after is not None:
        suspects = suspects.where(jobs.c.event_type_id > after)
    head = suspects.order_by(jobs.c.priority, jobs.c.position).limit(COUNT_MAX).subquery()
    grouped = sa.select(head.c.event_type_id, sa.func.min(head.c.queued_at)).group_by(head.c.event_type_id)
    for number, queued_at in connection.execute(grouped):
        known = found.get(number)
        if known is None or queued_at < known.queued_at:
            found[number] = since(moment, queued_at, known is not None and known.at_least)
    return dict(sorted(found.items()))


def oldest_by_type(
    connection: sa.Connection, moment: dt.datetime, after: int | None = None, steps_max: int | None = None
) -> dict[int, Oldest]:
    """For each type with queued jobs, the one that waits longest.

    Within a type and a priority it is the first in the queue's order. So this steps from one priority to the next
    by jobs_queue_by_type (a loose index scan), over PRIORITIES_MAX of a type, and `steps_max` in all.
    """
    place = (jobs.c.event_type_id, jobs.c.priority)
    listed = sa.select(*place, jobs.c.queued_at).where(QUEUED).order_by(*place, jobs.c.position).limit(1)
    start = listed if after is None else listed.where(jobs.c.event_type_id > after)
    begin = start.subquery()
    steps_max = steps_max or STEPS_MAX
    one = sa.literal_column("1", sa.Integer)
    steps = sa.select(begin, one.label("nth"), one.label("step")).cte("steps", recursive=True)
    enough = steps.c.nth >= PRIORITIES_MAX
    passed = sa.tuple_(
        steps.c.event_type_id, sa.case((enough, sa.literal(2**63 - 1, sa.BigInteger)), else_=steps.c.priority)
    )
    following = listed.where(sa.tuple_(*place) > passed).correlate(steps).lateral()
    nth = sa.case((following.c.event_type_id == steps.c.event_type_id, steps.c.nth + 1), else_=1)
    further = sa.select(following, nth, steps.c.step + 1).join_from(steps, following, sa.true())
    steps = steps.union_all(further.where(steps.c.step < steps_max))
    summary = sa.select(
        steps.c.event_type_id,
        sa.func.min(steps.c.queued_at),
        (sa.func.max(steps.c.nth) >= PRIORITIES_MAX) | (sa.func.max(steps.c.step) >= steps_max),
    )
    rows = connection.execute(summary.group_by(steps.c.event_type_id).order_by(steps.c.event_type_id))
    return {number: since(moment, queued_at, at_least) for number, queued_at, at_least in rows}


def oldest(connection: sa.Connection, moment: dt.datetime, by_type: dict[int, Oldest]) -> Oldest | None:
    """Of all queued jobs. Where not all priorities were looked at, the lowest ids are likely to be the oldest."""
    if not by_type:
        return None
    at_least = any(each.at_least for each in by_type.values())
    times = [each.queued_at for each in by_type.values()]
    if at_least:
        head = sa.select(jobs.c.status, jobs.c.queued_at).order_by(jobs.c.id).limit(COUNT_MAX).subquery()
        found = connection.scalars(sa.select(sa.func.min(head.c.queued_at)).where(head.c.status == "queued")).one()
        times += [] if found is None else [found]
    return since(moment, min(times), at_least)


def since(moment: dt.datetime, queued_at: dt.datetime, at_least: bool) -> Oldest:
    age = max(0.0, (moment - queued_at).total_seconds())
    return Oldest(queued_at=queued_at, age_seconds=age, at_least=at_least)


def ended(connection: sa.Connection, moment: dt.datetime, seconds: int) -> Ended:
    """What ended lately, by the newest ENDED_MAX rows of each table."""
    begin = moment - dt.timedelta(seconds=seconds)
    newest = sa.select(finished_jobs.c.status, finished_jobs.c.finished_at)
    newest = newest.where(finished_jobs.c.finished_at > begin)
    head = newest.order_by(finished_jobs.c.finished_at.desc()).limit(ENDED_MAX).subquery()
    succeeded = sa.func.count().filter(head.c.status == "succeeded")
    totals = sa.select(sa.func.count(), succeeded, sa.func.min(head.c.finished_at))
    count, well, earliest = connection.execute(totals).one()
    failed_at = sa.select(failures.c.failed_at).where(failures.c.failed_at > begin)
    failed_head = failed_at.order_by(failures.c.failed_at.desc()).limit(ENDED_MAX).subquery()
    failed = connection.scalars(sa.select(sa.func.count()).select_from(failed_head)).one()
    capped = [*(FINISHED if count == ENDED_MAX else ()), *(["failed_attempts"] if failed == ENDED_MAX else ())]
    span = float(seconds) if count < ENDED_MAX else max(0.001, (moment - earliest).total_seconds())
    return Ended(
        seconds=seconds,
        succeeded=well,
        cancelled=count - well,
        failed_attempts=failed,
        succeeded_per_second=round(well / span, 1),
        capped=capped,
    )
