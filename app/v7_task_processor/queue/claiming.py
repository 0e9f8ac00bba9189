"""Taking jobs, the best first."""

from collections.abc import Collection
from operator import attrgetter
from typing import Any, NamedTuple

from ..deadline import PROMPT_SECONDS_MAX, Connection
from ..job import Job
from .statement import Statement

FIRST = -(2**63)
LAST = 2**63 - 1
PLACE = attrgetter("priority", "_position")


class Frontier(NamedTuple):
    """Where the last claim ended, and where the position sequence stood a moment before it."""

    priority: int
    position: int
    horizon: int


BEGINNING = Frontier(FIRST, -1, -1)
"""A claim from here is a plain one: it looks at everything."""


class Served(NamedTuple):
    """Which types a worker takes, and the limits of failures that their handlers declare."""

    all_types: bool
    open_types: list[int]
    closed_types: list[int]
    type_limits: dict[int, int]
    max_retries: int


class Claim(NamedTuple):
    """What a claim took, in order. `last_position`: where the sequence stands. `more`: it took as much as it might, so
    there may be more. `full_types`: those that are full, or were and have jobs that claims have passed since."""

    registered: bool
    last_position: int
    jobs: list[Job]
    more: bool
    full_types: frozenset[int] = frozenset()


_claim = Statement("claim", PROMPT_SECONDS_MAX)
_claim_limited = Statement("claim_limited", PROMPT_SECONDS_MAX)
_claim_suspect = Statement("claim_suspect", PROMPT_SECONDS_MAX)
_lock_limits = Statement("lock_limits", PROMPT_SECONDS_MAX)
_position = Statement("position", PROMPT_SECONDS_MAX)


async def last_position(connection: Connection) -> int:
    """The last position that was given out."""
    rows = await _position(connection)
    return int(rows[0][0])


async def claim(
    connection: Connection,
    worker_id: int,
    batch: int,
    frontier: Frontier,
    served: Served,
    bytes_max: int = LAST,
    passed_over: Collection[int] = (),
) -> Claim:
    """Take up to `batch` jobs, the best first, and none more once their `event_data` is `bytes_max` long; none of those
    whose positions are `passed_over`.

    A worker that is not registered (any more) takes none.
    """
    rows = await _claim(
        connection,
        worker_id=worker_id,
        batch=batch,
        bytes_max=bytes_max,
        frontier_priority=frontier.priority,
        frontier_position=frontier.position,
        horizon=frontier.horizon,
        passed_over=list(passed_over),
        **serving(served),
    )
    return claimed(rows, batch)


async def claim_limited(
    connection: Connection,
    worker_id: int,
    batch: int,
    frontier: Frontier,
    served: Served,
    full_types: frozenset[int],
    bytes_max: int = LAST,
    passed_over: Collection[int] = (),
) -> Claim:
    """As `claim`, of each type no more than its limit has room for. `full_types`: as the last claim answered.

    Raises psycopg.errors.LockNotAvailable where other claims do not end.
    """
    head, *taken = await _claim_limited.after(
        _lock_limits,
        connection,
        worker_id=worker_id,
        batch=batch,
        bytes_max=bytes_max,
        frontier_priority=frontier.priority,
        frontier_position=frontier.position,
        horizon=frontier.horizon,
        probed_types=list(full_types),
        passed_over=list(passed_over),
        **serving(served),
    )
    full = frozenset(map(int, head[5].split(","))) if head[5] else frozenset()
    return Claim(head[1] == 1, head[10], in_order(taken), len(taken) == batch or head[7] == 1, full)


async def claim_suspect(
    connection: Connection, worker_id: int, served: Served, passed_over: Collection[int] = ()
) -> Claim:
    """Take one suspect, for a worker that runs nothing beside it; of no type that is full.

    Raises psycopg.errors.LockNotAvailable where other claims do not end.
    """
    values = {"worker_id": worker_id, "passed_over": list(passed_over), **serving(served)}
    return claimed(await _claim_suspect.after(_lock_limits, connection, **values), 1)


def serving(served: Served) -> dict[str, object]:
    return {
        "serves_all": served.all_types,
        "open_types": served.open_types,
        "closed_types": served.closed_types,
        "limited_types": list(served.type_limits.keys()),
        "type_limits": list(served.type_limits.values()),
        "max_retries": served.max_retries,
    }


def claimed(rows: list[tuple[Any, ...]], batch: int) -> Claim:
    head, *taken = rows
    more = len(taken) == batch or len(taken) < head[6]
    return Claim(head[1] == 1, head[10], in_order(taken), more)


def in_order(taken: list[tuple[Any, ...]]) -> list[Job]:
    """The jobs of a claim, the best first."""
    jobs = [Job(*row) for row in taken]
    jobs.sort(key=PLACE)
    return jobs
