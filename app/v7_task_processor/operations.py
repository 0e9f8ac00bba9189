"""Carries out operations: acts on all jobs that a filter names, in short transactions, beside everything else.

What a batch did and how far the operation is stand in the same transaction. So a process that dies in the middle of
one leaves nothing half done, and whoever goes on meets each job once.
"""

import asyncio
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence

import psycopg

from . import queue
from .database import Link, transaction
from .observability import logs
from .queue import Connection, Operation, Order

log = logs.get(__name__)
BATCH = 200
"""Jobs in one transaction: some 8 ms. What workers want to claim is passed over so long, what they end waits."""
LOOKED_MAX = 10_000
"""Rows that are looked at for one batch."""
HELD_MAX = 1000
"""Jobs that others hold: with more of them it goes on no further, and comes back to those."""
HELD_SECONDS = 0.2
LOOK_SECONDS = 0.5
RESTS = 6
"""After a batch it rests so many times as long as that took. On two cores the p99 of answers beside a redrive of
300,000 was 6.4 ms with 3 and 5.1 with 8, where an idle system had 3.2; with batches of 500 and rests as long as they it
was three times that of an idle one. A million takes three to four minutes."""
REST_SECONDS_MAX = 1.0
DAYS_AHEAD = 14
SESSION = {
    "lock_timeout": "5s",
    # By id, whatever the filter, and whatever statistics say: a plan for its values would go by the partial index of
    # its status, all of which may be what is meant, once for each batch.
    "plan_cache_mode": "force_generic_plan",
    **dict.fromkeys(("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off"),
}


def carrier() -> str:
    """A name for who carries operations out."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"


async def step(connection: Connection, carrier: str, operation_id: int | None = None) -> Operation | None:
    """Do a batch of an operation; as it is then. None: there is none, or others carry out those that there are.

    Raises psycopg.Error where it may be done later. What can never be done is failed with its reason.
    """
    taken: Operation | None = None
    try:
        async with transaction(connection):
            taken = await queue.take_operation(connection, carrier, operation_id)
            return None if taken is None else await batch(connection, taken)
    except psycopg.Error as error:
        if taken is not None and is_final(connection, error):
            log.error("an operation failed", operation_id=taken.id, error=logs.said(error))
            await queue.fail_operation(connection, taken.id, logs.said(error))
            return taken._replace(status="failed")
        if taken is not None and not connection.closed:
            await queue.put_off_operation(connection, taken.id, carrier, logs.said(error))
        if queue.lacks_partition(error):
            await queue.add_days(connection, DAYS_AHEAD)
        raise


def is_final(connection: Connection, error: psycopg.Error) -> bool:
    """Whether to try again leads nowhere: too few rights, a table that is not as it should be."""
    return not connection.closed and (error.sqlstate or "").startswith("42")


async def batch(connection: Connection, operation: Operation) -> Operation:
    """The next of its batches, in the caller's transaction."""
    full = len(operation.held) >= HELD_MAX
    picked = await queue.pick(connection, operation, BATCH, 0 if full else LOOKED_MAX)
    done, refused = await act(connection, operation.order, picked.ids)
    dropped = len(operation.held) - len(set(operation.held) & {*picked.ids, *picked.held})
    return await queue.note_progress(
        connection,
        operation.id,
        seen_id=operation.seen_id if full else picked.seen_id,
        held=picked.held,
        done=done,
        skipped=len(picked.ids) - done + dropped,
        error=refused,
    )


async def act(connection: Connection, order: Order, ids: list[int]) -> tuple[int, str | None]:
    """Act on these, but for those that Postgres refuses to change. With how many it was done; the last refusal."""
    done = 0

    async def write(part: Sequence[int]) -> None:
        nonlocal done
        statuses = order.statuses()
        async with connection.transaction():  # a savepoint
            done += await queue.act_on(
                connection, order.act, part, statuses, run_at=order.run_at, priority=order.priority
            )

    refused = await queue.write_past(write, ids) if ids else []
    if not refused:
        return done, None
    job_id, error = refused[-1]
    return done, f"Postgres refuses to change job {job_id}: {logs.said(error)}"


def rest_seconds(operation: Operation, seconds: float) -> float:
    """How long to leave the database to others, after a batch that took so long."""
    rest = min(RESTS * seconds, REST_SECONDS_MAX)
    return max(rest, HELD_SECONDS) if operation.held else rest


async def drive(
    connection: Connection, operation_id: int, carrier: str, tell: Callable[[Operation], None]
) -> Operation | None:
    """Carry out one operation to its end, as long as no other does. The last that was seen of it; None: another has
    taken it, or it has ended."""
    while True:
        began = time.monotonic()
        operation = await step(connection, carrier, operation_id)
        if operation is None:
            return None
        tell(operation)
        if operation.status != "running":
            return operation
        await asyncio.sleep(rest_seconds(operation, time.monotonic() - began))


async def await_end(
    connection: Connection, operation: Operation, carrier: str, tell: Callable[[Operation], None]
) -> Operation:
    """Carry it out, or see how others do, until it has ended."""
    while True:
        if (end := await drive(connection, operation.id, carrier, tell)) is not None:
            return end
        operation = await queue.operation(connection, operation.id) or operation
        if operation.status not in ("waiting", "running"):
            return operation
        tell(operation)
        await asyncio.sleep(LOOK_SECONDS)


class Operator:
    """Carries out a node's share of operations, a batch of each in turn. Connected only while there are some.

    `wanted` is set by whoever sees that there are some which nobody carries out.
    """

    def __init__(self, url: str, wanted: asyncio.Event) -> None:
        self.link, self.carrier, self.wanted = Link(url, SESSION), carrier(), wanted

    async def step(self) -> float:
        """Wait for work, and do a batch. In how many seconds the next may be done."""
        await self.wanted.wait()
        began = time.monotonic()
        operation = await step(await self.link.get(), self.carrier)
        if operation is None:
            self.wanted.clear()
            await self.link.close()
            return 0.0
        return rest_seconds(operation, time.monotonic() - began)
