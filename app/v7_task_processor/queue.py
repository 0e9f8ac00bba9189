"""The queue's transitions: one function for each statement in sql/, and the only module that loads them.

Every function takes a psycopg connection in autocommit mode, runs one statement in a transaction of its own (or
in the caller's, where the caller has begun one) and returns what changed. Whatever leaves `running` is guarded by
id, attempt and worker: what is missing from the answer was taken away meanwhile, and its word is void.
"""

import datetime as dt
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncRawCursor

from .job import Job

Connection = psycopg.AsyncConnection[Any]
Held = tuple[int, int]
"""(job id, attempt)"""

FIRST = -(2**63)
LAST = 2**63 - 1
PLACEHOLDER = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """One file of sql/. `:name` stands for a value; it becomes `$n`, so that nothing is rewritten at a call."""

    def __init__(self, name: str) -> None:
        text = (resources.files(__package__) / "sql" / f"{name}.sql").read_text()
        text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        self.names: list[str] = list(dict.fromkeys(PLACEHOLDER.findall(text)))
        self.text = PLACEHOLDER.sub(lambda match: f"${self.names.index(match[1]) + 1}", text)

    async def __call__(self, connection: Connection, **values: object) -> list[tuple[Any, ...]]:
        async with AsyncRawCursor(connection) as cursor:
            parameters = [literal(values[name]) for name in self.names]
            await cursor.execute(self.text, parameters, prepare=True, binary=True)
            return await cursor.fetchall()


def literal(value: object) -> object:
    """Numbers as text of no declared type: psycopg would declare the smallest type that holds each value, and
    each new combination of types would be prepared, and planned, anew."""
    if type(value) in (int, float):
        return str(value)
    if isinstance(value, list) and (not value or type(value[0]) in (int, float)):
        return "{" + ",".join(map(str, value)) + "}"
    if isinstance(value, list) and all(type(each) is str for each in value):
        return "{" + ",".join(map(quoted, value)) + "}"  # psycopg quotes with a regular expression, ten times slower
    return value


def quoted(text: str) -> str:
    """An element of an array literal."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


class Enqueued(NamedTuple):
    """One event on its way in. `event_data` is JSON text; `digest` tells it from another under the same key."""

    event_type_id: int
    user_id: int
    priority: int
    event_data: str
    correlation_id: str
    key: str | None = None
    digest: bytes = b""


_enqueue = Statement("enqueue")
_enqueue_once = Statement("enqueue_once")
_wake = Statement("wake")


async def enqueue(connection: Connection, events: Sequence[Enqueued]) -> list[int]:
    """Add events; the ids, in their order. Durable when it returns. Raises psycopg.Error, and then either all of
    them were refused (DataError) or it is not known (OperationalError)."""
    rows = await _enqueue(
        connection,
        event_type_ids=[event.event_type_id for event in events],
        user_ids=[event.user_id for event in events],
        priorities=[event.priority for event in events],
        event_data=[event.event_data for event in events],
        correlation_ids=[event.correlation_id for event in events],
    )
    return sorted(row[0] for row in rows)


async def enqueue_once(connection: Connection, events: Sequence[Enqueued]) -> list[tuple[int, bool]]:
    """Add events that carry keys, no key twice; for each its id, and whether the key stood for the same event."""
    rows = await _enqueue_once(
        connection,
        keys=[event.key for event in events],
        digests=[event.digest for event in events],
        event_type_ids=[event.event_type_id for event in events],
        user_ids=[event.user_id for event in events],
        priorities=[event.priority for event in events],
        event_data=[event.event_data for event in events],
        correlation_ids=[event.correlation_id for event in events],
    )
    return [(job_id, same) for job_id, same in rows]


async def wake(connection: Connection) -> None:
    """Hint to idle workers that jobs came."""
    await _wake(connection)


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
    """What a claim took, in order. `positions` are those of `jobs`; `last_position` is the sequence's."""

    registered: bool
    last_position: int
    jobs: list[Job]
    positions: list[int]


_claim = Statement("claim")
_claim_suspect = Statement("claim_suspect")


async def claim(connection: Connection, worker_id: int, batch: int, frontier: Frontier, served: Served) -> Claim:
    """Take up to `batch` jobs, the best first. A worker that is not registered (any more) takes none."""
    return claimed(
        await _claim(
            connection,
            worker_id=worker_id,
            batch=batch,
            frontier_priority=frontier.priority,
            frontier_position=frontier.position,
            horizon=frontier.horizon,
            **_served(served),
        )
    )


async def claim_suspect(connection: Connection, worker_id: int, served: Served) -> Claim:
    """Take one suspect, for a worker that runs nothing beside it."""
    return claimed(await _claim_suspect(connection, worker_id=worker_id, **_served(served)))


def _served(served: Served) -> dict[str, object]:
    return {
        "serves_all": served.all_types,
        "open_types": served.open_types,
        "closed_types": served.closed_types,
        "limited_types": list(served.type_limits.keys()),
        "type_limits": list(served.type_limits.values()),
        "max_retries": served.max_retries,
    }


def claimed(rows: list[tuple[Any, ...]]) -> Claim:
    head, *taken = rows
    return Claim(head[1] == 1, head[10], [Job(*row[:10]) for row in taken], [row[10] for row in taken])


_complete = Statement("complete")
_complete_unkept = Statement("complete_unkept")


async def complete(connection: Connection, worker_id: int, held: Sequence[Held], *, kept: bool) -> int:
    """Jobs that succeeded leave the queue, for the history if `kept`. How many still were this worker's."""
    statement = _complete if kept else _complete_unkept
    rows = await statement(connection, worker_id=worker_id, **_held(held))
    return int(rows[0][0])


class Failure(NamedTuple):
    """An attempt that is charged. Texts are clean (`handlers.clean`). `dead_reason`: dead at once."""

    id: int
    attempt: int
    delay_seconds: float
    error_type: str
    message: str
    traceback: str | None = None
    dead_reason: str | None = None
    suspect: bool = False


_fail = Statement("fail")


async def fail(
    connection: Connection, worker_id: int, worker: str, failures: Sequence[Failure]
) -> list[tuple[int, str, int]]:
    """Charge failures. For each that still was this worker's: (id, its new status, its retry_count)."""
    rows = await _fail(
        connection,
        worker_id=worker_id,
        worker=worker,
        ids=[failure.id for failure in failures],
        attempts=[failure.attempt for failure in failures],
        delays_seconds=[failure.delay_seconds for failure in failures],
        error_types=[failure.error_type for failure in failures],
        messages=[failure.message for failure in failures],
        tracebacks=[failure.traceback for failure in failures],
        dead_reasons=[failure.dead_reason for failure in failures],
        suspects=[failure.suspect for failure in failures],
    )
    return [(job_id, status, retry_count) for job_id, status, retry_count in rows]


_snooze = Statement("snooze")
_release = Statement("release")
_release_orphans = Statement("release_orphans")
_held_by = Statement("held")


async def snooze(connection: Connection, worker_id: int, put_off: Sequence[tuple[int, int, float]]) -> int:
    """Put off jobs: (id, attempt, seconds), uncharged. How many still were this worker's."""
    held = [(job_id, attempt) for job_id, attempt, _ in put_off]
    seconds = [float(each) for _, _, each in put_off]
    return len(await _snooze(connection, worker_id=worker_id, seconds=seconds, **_held(held)))


async def release(connection: Connection, worker_id: int, held: Sequence[Held], *, suspect: bool = False) -> int:
    """Give jobs back uncharged, where they stood. How many still were this worker's."""
    return len(await _release(connection, worker_id=worker_id, suspect=suspect, **_held(held)))


async def release_orphans(connection: Connection, batch: int) -> int:
    """Give back what runs under workers that are not registered. How many."""
    return len(await _release_orphans(connection, batch=batch))


class Running(NamedTuple):
    """A job as the database says it runs."""

    id: int
    attempt: int
    worker_id: int
    suspect: bool
    max_retries: int
    retry_count: int


async def held_by(connection: Connection, worker_ids: list[int]) -> list[Running]:
    """What these workers run, by what the database says."""
    return [Running(*row) for row in await _held_by(connection, worker_ids=worker_ids)]


def _held(held: Sequence[Held]) -> dict[str, object]:
    return {"ids": [each[0] for each in held], "attempts": [each[1] for each in held]}


_promote = Statement("promote")
_next_due = Statement("next_due")
_redrive = Statement("redrive")


async def promote(connection: Connection, batch: int) -> int:
    """Queue up to `batch` scheduled jobs that are due. How many."""
    return len(await _promote(connection, batch=batch))


async def next_due_seconds(connection: Connection) -> float | None:
    """In how many seconds the next scheduled job is due; None: none is scheduled."""
    rows = await _next_due(connection)
    return float(rows[0][0]) if rows else None


async def redrive(
    connection: Connection,
    batch: int,
    until: dt.datetime,
    ids: list[int] | None = None,
    event_type_id: int | None = None,
) -> list[int]:
    """Queue again up to `batch` dead letters that died before `until`, by the database's clock. Their ids."""
    rows = await _redrive(connection, batch=batch, until=until, ids=ids, event_type_id=event_type_id)
    return [row[0] for row in rows]


_ensure_event_types = Statement("ensure_event_types")
_discover_event_types = Statement("discover_event_types")
_paused_event_types = Statement("paused_event_types")
_pause_event_type = Statement("pause_event_type")
_resume_event_type = Statement("resume_event_type")


async def ensure_event_types(connection: Connection, event_type_ids: Sequence[int]) -> list[int]:
    """Make the rows of types that have none. Those that this call made."""
    return [row[0] for row in await _ensure_event_types(connection, event_type_ids=list(event_type_ids))]


async def discover_event_types(connection: Connection) -> list[int]:
    """Make the rows of queued types that have none. Those that this call made."""
    return [row[0] for row in await _discover_event_types(connection)]


async def paused_event_types(connection: Connection) -> list[int]:
    """Types whose jobs wait."""
    return [row[0] for row in await _paused_event_types(connection)]


async def pause_event_type(connection: Connection, event_type_id: int, paused_by: str) -> dt.datetime:
    """Let a type's jobs wait, on all nodes. Since when it is paused, which may be before this call."""
    rows = await _pause_event_type(connection, event_type_id=event_type_id, paused_by=paused_by)
    paused_at: dt.datetime = rows[0][1]
    return paused_at


async def resume_event_type(connection: Connection, event_type_id: int) -> bool:
    """Let a type's jobs run. False: there is no such type."""
    return bool(await _resume_event_type(connection, event_type_id=event_type_id))


class Lost(NamedTuple):
    """A worker that is to be rescued from."""

    worker_id: int
    pid: int
    name: str


class Node(NamedTuple):
    """A node's row as its watchers see it. Only that `heartbeat_at` changes matters, never what it says."""

    id: int
    token: str
    heartbeat_at: dt.datetime


_register = Statement("register")
_unregister = Statement("unregister")
_beat = Statement("beat")
_serve = Statement("serve")
_nodes = Statement("nodes")
_workers_of = Statement("workers_of")
_give_up_node = Statement("give_up_node")
_suspects_wait = Statement("suspects_wait")


async def register(
    connection: Connection,
    *,
    node_id: int | None,
    name: str,
    pid: int,
    token: str,
    version: str,
    concurrency: int,
    event_type_ids: list[int] | None,
) -> int | None:
    """Enter a node, or a worker of a node. Its id; None: the node of this worker is not registered any more."""
    try:
        rows = await _register(
            connection,
            node_id=node_id,
            name=name,
            pid=pid,
            token=token,
            version=version,
            concurrency=concurrency,
            event_type_ids=event_type_ids,
        )
    except psycopg.errors.ForeignKeyViolation:  # it was given up while this was on its way
        return None
    return rows[0][0] if rows else None


async def unregister(connection: Connection, ids: list[int]) -> None:
    """Take workers from the register, or nodes with their workers: they can claim nothing any more."""
    await _unregister(connection, ids=ids)


async def beat(connection: Connection, node_id: int) -> bool:
    """Say that a node lives. False: others have given it up."""
    return bool(await _beat(connection, node_id=node_id))


async def serve(connection: Connection, node_id: int, event_type_ids: list[int] | None) -> None:
    """Note which types a node's handlers serve; None: all."""
    await _serve(connection, node_id=node_id, event_type_ids=event_type_ids)


async def nodes(connection: Connection) -> list[Node]:
    """All nodes."""
    return [Node(*row) for row in await _nodes(connection)]


async def workers_of(connection: Connection, node_id: int, pid: int | None = None) -> list[Lost]:
    """A node's workers, or those rows of them that one process has used."""
    return [Lost(*row) for row in await _workers_of(connection, node_id=node_id, pid=pid)]


async def give_up_node(connection: Connection, node: Node) -> list[int] | None:
    """Take a node whose beat stands still from the register. Its workers; None: it beat, or another was first."""
    rows = await _give_up_node(connection, node_id=node.id, heartbeat_at=node.heartbeat_at)
    return rows[0][0] if rows else None


async def suspects_wait(connection: Connection, served: Served) -> bool:
    """Whether a suspect waits that this node could run."""
    rows = await _suspects_wait(connection, serves_all=served.all_types, open_types=served.open_types)
    return bool(rows[0][0])


_add_days = Statement("add_days")
_has_tomorrow = Statement("has_tomorrow")
_drop_oldest_day = Statement("drop_oldest_day")
_prune_failures = Statement("prune_failures")
_prune_idempotency_keys = Statement("prune_idempotency_keys")


async def add_days(connection: Connection, days_ahead: int) -> int:
    """Make the history's partitions for today and the days ahead. How many were missing."""
    rows = await _add_days(connection, days_ahead=days_ahead)
    return int(rows[0][0])


async def has_tomorrow(connection: Connection) -> bool:
    """Whether the history has its partition for tomorrow."""
    rows = await _has_tomorrow(connection)
    return bool(rows[0][0])


async def drop_oldest_day(connection: Connection, retention_days: int) -> str | None:
    """Drop the history's oldest day if it is older than the retention. Its name; None: none was."""
    rows = await _drop_oldest_day(connection, retention_days=retention_days)
    name: str | None = rows[0][0]
    return name


async def prune_failures(connection: Connection, retention_days: int, batch: int) -> int:
    """Forget up to `batch` failures older than the retention, but none of a job that still stands in the queue."""
    return len(await _prune_failures(connection, retention_days=retention_days, batch=batch))


async def prune_idempotency_keys(connection: Connection, batch: int) -> int:
    """Forget up to `batch` keys older than seven days."""
    return len(await _prune_idempotency_keys(connection, batch=batch))
