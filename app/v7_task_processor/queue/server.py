"""Which server the database stands on."""

from typing import NamedTuple

from ..deadline import Connection
from .statement import Statement


class Change(NamedTuple):
    """The database stands on another timeline, or on another system, than where it was seen last.

    `jump`: by how much all sequences were advanced.
    """

    old_timeline: int
    timeline: int
    same_system: bool
    jump: int


_recognise = Statement("recognise")


async def recognise(connection: Connection) -> Change | None:
    """See whether it stands where it was seen last, and advance all sequences where it does not; None: it does, or
    another saw to it. Raises psycopg.Error, also where this user may not see it."""
    rows = await _recognise(connection)
    return Change(*rows[0][:4]) if rows else None
