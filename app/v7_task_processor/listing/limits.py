"""Types with a limit, and which of them have no room."""

from typing import NamedTuple

import sqlalchemy as sa

from ..overview import RUNNING_MAX
from ..schema import event_types, jobs
from .jobs import has_status


class Full(NamedTuple):
    """How many jobs of a type may run, and how many do: more, where the limit was lowered just now."""

    limit: int
    running: int


def full_types(connection: sa.Connection) -> dict[int, Full]:
    """The types of which as many run as may; as claims count it, by the rows that run."""
    limit = event_types.c.concurrency_limit
    limits = connection.execute(sa.select(event_types.c.event_type_id, limit).where(limit.is_not(None))).all()
    if not limits:
        return {}
    taken = sa.select(jobs.c.event_type_id).where(has_status(jobs, "running")).limit(RUNNING_MAX).subquery()
    counted = sa.select(taken.c.event_type_id, sa.func.count().label("held")).group_by(taken.c.event_type_id)
    running = {row.event_type_id: row.held for row in connection.execute(counted)}
    held = {event_type_id: Full(most, running.get(event_type_id, 0)) for event_type_id, most in limits}
    return {event_type_id: each for event_type_id, each in held.items() if each.running >= each.limit}
