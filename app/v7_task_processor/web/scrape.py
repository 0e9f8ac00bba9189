"""What the database says at a scrape, in parts of which each may fail by itself."""

import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from ..listing import measures, reading
from ..listing.measures import Types
from ..observability import families, logs
from ..observability.exposition import Sample
from ..observability.families import COUNTED
from ..observability.seldom import Seldom
from ..overview import nodes

log = logs.get(__name__)
STATEMENT_SECONDS_MAX = 1.0
PARTS_SECONDS_MAX = 3.0
"""What is not begun by then is not done."""
seldom = Seldom()

Part = Callable[[sa.Connection, Types], Iterator[Sample]]


def look(url: str) -> list[Sample]:
    """All parts, each in a savepoint of its own, and which of them failed. Never raises."""
    samples: list[Sample] = []
    failed = set(PARTS)
    try:
        with reading(url, STATEMENT_SECONDS_MAX) as connection:
            until = time.monotonic() + PARTS_SECONDS_MAX
            types = measures.named_types(connection)
            for name, part in PARTS.items():
                told = attempted(part, connection, types) if time.monotonic() < until else None
                if told is not None:
                    samples += told
                    failed.discard(name)
    except Exception as error:
        warn(error)
    return [*samples, *errors(failed)]


def attempted(part: Part, connection: sa.Connection, types: Types) -> list[Sample] | None:
    """What a part says; None: it failed."""
    try:
        with connection.begin_nested():
            return list(part(connection, types))
    except Exception as error:
        warn(error)
        return None


def warn(error: Exception) -> None:
    cause = getattr(error, "orig", None) or error
    if seldom.allows(cause):
        log.warning("a part of the metrics cannot be had", error=logs.said(cause))


def errors(failed: set[str]) -> Iterator[Sample]:
    for part in families.PARTS:
        yield Sample(families.SCRAPE_ERRORS, (part,), [part in failed])


def counters(connection: sa.Connection, types: Types) -> Iterator[Sample]:
    """Series that are known beforehand are there from the start: a rise from nothing to one is seen by nobody."""
    found = measures.counts(connection, types)
    for family in COUNTED.values():
        own = {place[1:]: numbers for place, numbers in found.items() if place[0] == family.name}
        if family.kind == "counter" or not family.by_type:
            names = [str(number) for number in types] if family.by_type else [""]
            for expected in ((name, value) for name in names for value in family.values or ("",)):
                own.setdefault(expected, family.nothing())
        for (event_type, value), numbers in sorted(own.items()):
            given = {families.TYPE: event_type}
            yield Sample(family, tuple(given.get(label, value) for label in family.labels), numbers)


def depth(connection: sa.Connection, types: Types) -> Iterator[Sample]:
    found = measures.depths(connection, types)
    for status, count in found.by_status.items():
        yield Sample(families.JOBS, (status,), [round(count)])
    for event_type, each in found.by_type.items():
        for status in ("scheduled", "queued", "running"):
            yield Sample(families.QUEUE_DEPTH, (event_type, status), [getattr(each, status)])
        yield Sample(families.DEAD_LETTERS, (event_type,), [each.dead])


def oldest(connection: sa.Connection, types: Types) -> Iterator[Sample]:
    found = measures.waiting(connection, types)
    for event_type, seconds in found.oldest_seconds.items():
        yield Sample(families.OLDEST_AGE, (event_type,), [seconds])
    yield Sample(families.UNSERVED, (), [found.unserved])
    for number, paused_at in types.items():
        yield Sample(families.PAUSED, (str(number),), [paused_at is not None])


def register(connection: sa.Connection, types: Types) -> Iterator[Sample]:
    listed = nodes(connection.exec_driver_sql)
    alive = [node for node in listed if node.alive]
    yield Sample(families.NODES, ("alive",), [len(alive)])
    yield Sample(families.NODES, ("lost",), [len(listed) - len(alive)])
    yield Sample(families.WORKERS, (), [sum(len(node.workers) for node in alive)])


def connections(connection: sa.Connection, types: Types) -> Iterator[Sample]:
    used, most = measures.connections(connection)
    yield Sample(families.CONNECTIONS, (), [used])
    yield Sample(families.CONNECTIONS_MAX, (), [most])


PARTS: dict[str, Part] = dict(zip(families.PARTS, (counters, depth, oldest, register, connections), strict=True))
