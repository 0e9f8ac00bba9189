"""Event types: who serves them, what waits, how fast and how well they go."""

import datetime as dt

import msgspec
import sqlalchemy as sa

from ... import listing
from ...listing import TypePage
from ...overview import nodes
from ..event import Integer
from .access import PATH
from .visit import Page, Visit, link

SHOWN = 50


class TypesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where the page begins."""

    after: Integer | None = None


async def screen(visit: Visit) -> Page:
    asked = visit.asked(TypesQuery)
    now, found, alive = await visit.store.read(lambda connection: look(connection, asked.after))
    shown = {
        "title": "Types",
        "now": now,
        "asked": asked,
        "rows": found.event_types,
        "alive": alive,
        "next": found.next_after is not None and link(f"{PATH}/types", after=found.next_after),
        "first": asked.after is not None and f"{PATH}/types",
    }
    return Page("types", shown)


def look(connection: sa.Connection, after: int | None) -> tuple[dt.datetime, TypePage, bool]:
    page = listing.types_page(connection, after=after, limit=SHOWN)
    alive = any(node.alive and node.workers for node in nodes(connection.exec_driver_sql))
    return listing.now(connection), page, alive
