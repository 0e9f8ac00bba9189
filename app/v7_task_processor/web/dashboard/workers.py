"""Nodes, their processes, and what each runs now."""

import datetime as dt

import sqlalchemy as sa

from ... import listing
from ...overview import NodeRow, nodes
from .visit import Page, Visit

RUNNING_SHOWN_MAX = 5
NODES_SHOWN_MAX = 50
WORKERS_SHOWN_MAX = 64
TYPES_SHOWN_MAX = 20


async def screen(visit: Visit) -> Page:
    now, nodes = await visit.store.read(look)
    shown = {
        "title": "Workers",
        "now": now,
        "nodes": nodes[:NODES_SHOWN_MAX],
        "more": max(0, len(nodes) - NODES_SHOWN_MAX),
        "workers_max": WORKERS_SHOWN_MAX,
        "types_max": TYPES_SHOWN_MAX,
    }
    return Page("workers", shown)


def look(connection: sa.Connection) -> tuple[dt.datetime, list[NodeRow]]:
    return listing.now(connection), nodes(connection.exec_driver_sql, RUNNING_SHOWN_MAX)
