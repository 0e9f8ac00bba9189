"""What metrics read at each scrape: little, by indexes, and bounded whatever the size of the queue."""

import datetime as dt
from typing import NamedTuple

import sqlalchemy as sa

from ..job import LIVE
from ..observability.families import COUNTED, OTHER, TYPES_MAX
from ..overview import (
    COUNT_MAX,
    Depth,
    depth_by_type,
    elsewhere,
    in_line,
    nodes,
    oldest_by_type,
    queue_head,
    queued_types,
    serves,
    totals,
)
from ..schema import event_types, metrics
from .session import now

COUNTED_MAX = 50_000
"""So many queued jobs are counted at a scrape, of all types together."""
STEPS_MAX = 1000
"""So many other types are looked for at a scrape, and so many priorities of all types that have a label together."""
INDEXES = {"scheduled": "jobs_scheduled", "queued": "jobs_queue", "dead": "jobs_dead"}
"""Each has an entry for each job in the status. What runs is few."""
# As the planner does it: as many entries a page as vacuum or analyze last found, times the pages that there are now.
ESTIMATE = sa.text("""
select c.relname, c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::integer)
from pg_class c where c.relnamespace = 'v7'::regnamespace and c.relname = any(:names) and c.relpages > 0""")
CONNECTIONS = sa.text("""
select (select count(*) from pg_stat_activity where datname = current_database()),
    current_setting('max_connections')::integer""")

Types = dict[int, dt.datetime | None]
"""Event types with a label of their own, and since when they are paused."""


def named_types(connection: sa.Connection) -> Types:
    """Those that came first: so a type that has a label keeps it, and all who ask agree."""
    statement = sa.select(event_types.c.event_type_id, event_types.c.paused_at)
    statement = statement.order_by(event_types.c.created_at, event_types.c.event_type_id).limit(TYPES_MAX)
    return {row.event_type_id: row.paused_at for row in connection.execute(statement)}


def label(kept: str, types: Types) -> str:
    """A type's own number, or `other` where there are too many.

    What was counted of a type too new for a row has its number already: it will have a row soon, and `other` must not
    fall then.
    """
    if kept in ("", OTHER):
        return kept
    return OTHER if len(types) >= TYPES_MAX and int(kept) not in types else kept


def counts(connection: sa.Connection, types: Types) -> dict[tuple[str, str, str], list[float]]:
    """What all processes have counted: (name, event type's label, other label) to numbers."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for kept in connection.scalars(sa.select(metrics.c.counts)):
        for key, numbers in kept.items():
            name, event_type_id, other = key.split("|", 2)
            if name not in COUNTED or len(numbers) != len(COUNTED[name].nothing()):
                continue  # another release's
            place = name, label(event_type_id, types), other
            sums = found.setdefault(place, COUNTED[name].nothing())
            sums[:] = [mine + more for mine, more in zip(sums, numbers, strict=True)]
    return found


class Depths(NamedTuple):
    """`by_status` estimates where there are many; `by_type` counts, up to a bound."""

    by_status: dict[str, float]
    by_type: dict[str, Depth]


def depths(connection: sa.Connection, types: Types) -> Depths:
    """How many jobs stand where."""
    ask = connection.exec_driver_sql
    beyond, queued = elsewhere(ask), in_line(ask)
    counted = totals(beyond)
    counted["queued"] = counted.get("queued", 0) + queued
    by_type = depth_by_type(ask, list(types), beyond, min(COUNT_MAX, COUNTED_MAX // max(1, len(types))))
    others = totals({place: count for place, count in beyond.items() if place[1] not in types})
    if len(types) >= TYPES_MAX or queued <= COUNT_MAX:
        # Else all types have a row, or will have one in a moment: no need to read ten thousand jobs for it.
        unnamed = {number: count for number, count in queue_head(ask).items() if number not in types}
        others["queued"] = others.get("queued", 0) + sum(unnamed.values())
    found = {str(number): by_type[number] for number in types}
    found[OTHER] = Depth(**{status: others.get(status, 0) for status in LIVE}, capped=[])
    return Depths(estimated(connection, counted), found)


def estimated(connection: sa.Connection, counted: dict[str, int]) -> dict[str, float]:
    """The counts, where they stopped at their bound what the size of the index makes likely."""
    by_index: dict[str, float] = {}
    if any(counted.get(status, 0) > COUNT_MAX for status in INDEXES):
        rows = connection.execute(ESTIMATE, {"names": list(INDEXES.values())})
        by_index = {name: float(count) for name, count in rows}
    return {
        status: max(float(count), by_index.get(INDEXES.get(status, ""), 0.0)) if count > COUNT_MAX else float(count)
        for status, count in ((each, counted.get(each, 0)) for each in LIVE)
    }


class Waiting(NamedTuple):
    """Seconds that the oldest queued job of each type has waited, and how many types no live node serves."""

    oldest_seconds: dict[str, float]
    unserved: int


def waiting(connection: sa.Connection, types: Types) -> Waiting:
    """Since when jobs wait. What others there are, and how many, is in the way of no type that has a label."""
    ask, moment = connection.exec_driver_sql, now(connection)
    queued = queued_types(ask, at_most=STEPS_MAX + len(types))
    others = [number for number in queued if number not in types]
    found = oldest_by_type(ask, moment, list(types), STEPS_MAX)
    oldest = {str(number): found[number].age_seconds if number in found else 0.0 for number in types}
    unnamed = oldest_by_type(ask, moment, others, STEPS_MAX)
    oldest[OTHER] = max((each.age_seconds for each in unnamed.values()), default=0.0)
    listed = nodes(ask)
    return Waiting(oldest, sum(not serves(listed, number) for number in found | unnamed))


def connections(connection: sa.Connection) -> tuple[int, int]:
    """Those to this database, and how many the server takes in all."""
    used, most = connection.execute(CONNECTIONS).one()
    return used, most
