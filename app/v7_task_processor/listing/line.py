"""A job's place in line."""

from typing import NamedTuple

import sqlalchemy as sa

from ..overview import NodeRow, node_serves
from ..schema import QUEUED, event_types, jobs
from ..text import plural
from .jobs import JobRow, has_status
from .limits import full_types

AHEAD_MAX = 10_000
PRIORITIES_SHOWN_MAX = 3


class Line(NamedTuple):
    """Jobs that may run and come before one: how many of which priority. `capped`: there are more than were counted."""

    by_priority: dict[int, int]
    capped: bool

    @property
    def ahead(self) -> int:
        """How many, up to AHEAD_MAX."""
        return min(sum(self.by_priority.values()), AHEAD_MAX)

    @property
    def much(self) -> str:
        if not self.capped:
            return f"{self.ahead:,}"
        return f"{'more than' if self.ahead == AHEAD_MAX else 'at least'} {self.ahead:,}"

    def described(self, job: JobRow) -> str:
        if not self.ahead:
            return f"{AHEAD_MAX:,} jobs of types that are paused, full or not served, and perhaps others"
        if self.capped:
            first = min(self.by_priority)
            which = f"priority {first}" if first == job.priority else f"priorities {first} to {job.priority}"
            return f"{self.much} jobs of {which}"
        if len(self.by_priority) > PRIORITIES_SHOWN_MAX:
            return f"{plural(self.ahead, 'job')} of priorities {min(self.by_priority)} to {max(self.by_priority)}"
        listed = [f"{count:,} of priority {priority}" for priority, count in sorted(self.by_priority.items())]
        return f"{plural(self.ahead, 'job')}: {', '.join(listed)}"


def before_it(connection: sa.Connection, job: JobRow, takes: list[NodeRow]) -> Line:
    """Bounded: it looks at the first AHEAD_MAX of the queue's index. What is paused or full, and what none of the
    nodes `takes` serves, is passed over by workers, and here."""
    place = sa.tuple_(jobs.c.priority, jobs.c.position)
    head = sa.select(jobs.c.event_type_id, jobs.c.priority).where(QUEUED, place < sa.tuple_(job.priority, job.position))
    head = head.order_by(jobs.c.priority, jobs.c.position)
    looked = head.limit(sa.literal(AHEAD_MAX + 1, literal_execute=True)).subquery()
    closed = sa.select(event_types.c.event_type_id).where(event_types.c.paused_at.is_not(None))
    is_paused = looked.c.event_type_id.in_(closed)
    grouped = sa.select(looked.c.event_type_id, looked.c.priority, is_paused, sa.func.count())
    found = connection.execute(grouped.group_by(looked.c.event_type_id, looked.c.priority)).all()
    full = full_types(connection)
    by_priority: dict[int, int] = {}
    for event_type_id, priority, waits, count in found:
        if not waits and event_type_id not in full and any(node_serves(node, event_type_id) for node in takes):
            by_priority[priority] = by_priority.get(priority, 0) + count
    return Line(by_priority, sum(row[3] for row in found) > AHEAD_MAX)


def of_type_before(connection: sa.Connection, job: JobRow) -> Line:
    """Those of its type among themselves."""
    return counted(connection, job, QUEUED, jobs.c.event_type_id == job.event_type_id)


def suspects_before(connection: sa.Connection, job: JobRow) -> Line:
    """The suspects among themselves."""
    return counted(connection, job, has_status(jobs, "queued"), jobs.c.suspect)


def counted(connection: sa.Connection, job: JobRow, *which: sa.ColumnExpressionArgument[bool]) -> Line:
    """Those of these that come before it, all as of its priority."""
    place = sa.tuple_(jobs.c.priority, jobs.c.position) < sa.tuple_(job.priority, job.position)
    first = sa.select(jobs.c.id).where(*which, place)
    first = first.order_by(jobs.c.priority, jobs.c.position).limit(sa.literal(AHEAD_MAX + 1, literal_execute=True))
    count = connection.scalars(sa.select(sa.func.count()).select_from(first.subquery())).one()
    return Line({job.priority: count}, count > AHEAD_MAX)
