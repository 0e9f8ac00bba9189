"""Dead letters, by type and kind of error."""

import datetime as dt
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from msgspec import Meta

from ... import listing
from ...listing import DeadGroup, DeadGroups
from ...overview import Depth, depth
from ..event import Integer
from .access import PATH
from .deed import CANCEL, REDRIVE
from .visit import Page, Visit, link


class DeadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Of which type."""

    event_type_id: Annotated[Integer, Meta(description="Only of this type.")] | None = None


async def screen(visit: Visit) -> Page:
    asked = visit.asked(DeadQuery)
    now, standing, found = await visit.store.read(lambda connection: look(connection, asked.event_type_id))
    shown = {
        "title": "Dead letters",
        "now": now,
        "depth": standing,
        "asked": asked,
        "found": found,
        "links": [jobs_of(group) for group in found.groups],
        "acts": [acts_of(group) for group in found.groups],
    }
    return Page("dead", shown)


def look(connection: sa.Connection, event_type_id: int | None) -> tuple[dt.datetime, Depth, DeadGroups]:
    return listing.now(connection), depth(connection.exec_driver_sql), listing.dead_groups(connection, event_type_id)


def jobs_of(group: DeadGroup) -> str:
    """The list of a group's jobs."""
    return link(
        f"{PATH}/jobs",
        status="dead",
        event_type_id=group.event_type_id,
        error_kind=group.kind if is_plain(group.kind) else None,
    )


def is_plain(kind: str) -> bool:
    """Whether a form gives it back as it is: who wrote the error by SQL may have begun it with a space."""
    return bool(kind) and kind == " ".join(kind.split())


def acts_of(group: DeadGroup) -> list[tuple[str, str]]:
    """What can be done with a group: nothing without a kind that a filter holds as it is, since no filter would tell it
    from the others."""
    if not is_plain(group.kind):
        return []
    fields: dict[str, Any] = {
        "all": 1,
        "status": "dead",
        "event_type_id": group.event_type_id,
        "error_kind": group.kind,
    }
    return [
        (deed.label, link(f"{PATH}/act", act=deed.name, **fields, then=f"{PATH}/dead")) for deed in (REDRIVE, CANCEL)
    ]
