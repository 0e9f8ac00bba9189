"""What must be done in the database now and then, by any node; two at once are only waste."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg

from . import queue
from .counting import IDLE_SECONDS, WRITE_SECONDS, Account
from .database import Link
from .observability import logs, telemetry
from .observability.families import TYPES_MAX
from .queue import Connection, Held

log = logs.get(__name__)
BATCH = 1000
LOOKED_MAX = 5000
"""Failures, or event types, that a chore looks at before the next has its turn: 5 ms, or 30."""
DAYS_AHEAD = 14
PROMOTE_SECONDS = 0.5
ORPHANS_SECONDS = 2.0
TYPES_SECONDS = 10.0
OPERATIONS_SECONDS = 1.0
MINUTE_SECONDS = 2.0
"""So late a minute is noted, at most."""
PRUNE_SECONDS = 3600.0
REFUSED_SECONDS, REFUSED_MAX = 60.0, 1000
AGAIN_SECONDS = 10.0
"""After a chore that failed, at most."""


async def run_every(seconds: float, what: str, step: Callable[[], Awaitable[float | None]]) -> None:
    """Run a step for ever; `seconds` apart, or as many as it answers. A database that is away is waited for."""
    said = ""
    while True:
        pause = seconds
        try:
            answer = await step()
            pause = seconds if answer is None else answer
            said = ""
        except Exception as error:  # nothing that one step meets may end the node
            if logs.said(error) != said:  # once for each cause, not once for each try
                said = logs.said(error)
                log.warning(f"cannot {what} now; will go on trying", error=said)
        await asyncio.sleep(pause)


NOT_NOW = ("08", "25", "40", "53", "55P03", "57", "58")
"""What a server says that goes away, that is read-only or full, or that is busy: there is nothing to give out."""
unrecognised: set[str] = set()
"""Why servers could not be recognised by this process: each is told once."""


async def recognise(connection: Connection) -> None:
    """Before anything is given out on a new connection: make sure that nothing is given out twice.

    After a failover that lost the end of the log, or a restore, the database would give out again ids and positions
    that were given out before. Raises psycopg.Error where the connection cannot be used.
    """
    try:
        change = await queue.recognise(connection)
    except psycopg.Error as error:
        why = error.sqlstate or ""
        if connection.closed or why.startswith(NOT_NOW):
            raise
        # Too few rights, or a service that does not tell. To refuse work for that would be worse than the risk.
        if why not in unrecognised:
            unrecognised.add(why)
            log.warning(
                "it cannot be seen whether the database was moved to another server; after that ids may repeat",
                error=logs.said(error),
            )
        return
    if change is not None:
        telemetry.publish(
            "server.changed",
            old_timeline=change.old_timeline,
            timeline=change.timeline,
            same_system=change.same_system,
            jump=change.jump,
            why="a failover or a restore: ids and positions go on beyond all that were given out before",
        )


async def promote(connection: Connection, refused: set[int] | None = None) -> float:
    """Queue what is due, and wake workers for it. In how many seconds to look again.

    `refused` are jobs to pass over, and grows by those that Postgres refuses to queue.
    """
    due = await due_seconds(connection)
    if due is not None and due <= 0:
        promoted, batch = await promote_past(connection, set() if refused is None else refused)
        if promoted:
            await queue.wake(connection)
        if promoted == batch:
            return 0.0
        due = await queue.next_due_seconds(connection)
    # What is due and was passed over is locked by somebody, or refused.
    return PROMOTE_SECONDS if due is None or due <= 0 else min(PROMOTE_SECONDS, max(0.005, due))


async def due_seconds(connection: Connection) -> float | None:
    """In how many seconds the next scheduled job is due, as far as one can see. The one look of an idle node."""
    try:
        return await queue.next_due_seconds(connection)
    except psycopg.Error as error:
        if connection.closed or not queue.is_damage(error):
            raise
        return 0.0  # who promotes passes over it


async def promote_past(connection: Connection, refused: set[int]) -> tuple[int, int]:
    """Queue a batch: how many of how many. One job that is refused must not hold up the others: ever smaller batches
    lead up to it, and then past it."""
    batch = BATCH
    while True:
        try:
            return await queue.promote(connection, batch, refused), batch
        except psycopg.Error as error:
            passable = queue.is_refusal(error) or queue.is_damage(error)
            if not passable or len(refused) >= REFUSED_MAX:
                raise
            if batch == 1 and (job_id := await queue.first_due(connection, refused)) is not None:
                refused.add(job_id)
                log.error("Postgres refuses to queue a job that is due", job_id=job_id, error=logs.said(error))
        batch = max(1, batch // 2)


async def release_orphans(connection: Connection, refused: set[int] | None = None) -> int:
    """Give back what runs under workers that are no more. How many. `refused` as in `promote`."""
    refused = set() if refused is None else refused
    released = 0
    for worker_id, held in (await queue.orphans(connection, BATCH, refused)).items():

        async def release(part: Sequence[Held], worker_id: int = worker_id) -> None:
            nonlocal released
            released += await queue.release(connection, worker_id, part)

        left = await queue.write_past(release, held)
        queue.left_running(left)
        refused.update(job_id for (job_id, _), _ in left)
    if released:
        await queue.wake(connection, back=True)
    return released


async def keep_days(connection: Connection, retention_days: int) -> None:
    """Make days of the history ahead, and drop those that are over."""
    await all_of(
        connection,
        lambda: queue.add_days(connection, DAYS_AHEAD),
        lambda: drop_days(connection, retention_days),
    )


class Pruner:
    """Forgets what is old of all but the history, a batch of each at a time."""

    def __init__(self, retention_days: int) -> None:
        self.retention_days, self.failures_seen = retention_days, queue.OLDEST

    async def step(self, connection: Connection) -> bool:
        """Whether more is left."""
        failures, keys, acts, operations = await all_of(
            connection,
            lambda: self.prune_failures(connection),
            lambda: queue.prune_idempotency_keys(connection, BATCH),
            lambda: queue.prune_audit(connection, BATCH),
            lambda: queue.prune_operations(connection, BATCH),
        )
        return failures or BATCH in (keys, acts, operations)

    async def prune_failures(self, connection: Connection) -> bool:
        seen = await queue.prune_failures(connection, max(1, self.retention_days), LOOKED_MAX, self.failures_seen)
        self.failures_seen = seen or queue.OLDEST
        return seen is not None


async def drop_days(connection: Connection, retention_days: int) -> None:
    with contextlib.suppress(psycopg.errors.LockNotAvailable):  # a reader is in the way: the next time, then
        while dropped := await queue.drop_oldest_day(connection, retention_days):
            log.info("dropped a day of the history", table=dropped)


async def all_of(connection: Connection, *steps: Callable[[], Awaitable[Any]]) -> list[Any]:
    """The answers of all steps. One that fails does not keep the rest from being done: its error is raised after."""
    answers, errors = [], []
    for step in steps:
        try:
            answers.append(await step())
        except psycopg.Error as error:
            if connection.closed:
                raise
            errors.append(error)
    for further in errors[1:]:
        log.warning("a chore failed; it will be tried again", error=logs.said(further))
    if errors:
        raise errors[0]
    return answers


async def note_minute(connection: Connection) -> None:
    """What was counted until now, once a minute, whichever node is first."""
    await queue.note_minute(connection, TYPES_MAX)


class Chores:
    """One round of what is due, each thing in its own rhythm, one after the other on one connection."""

    def __init__(self, link: Link, retention_days: int, account: Account) -> None:
        self.link, self.retention_days, self.account = link, retention_days, account
        self.pruner, self.next_type = Pruner(retention_days), queue.FIRST
        self.due: dict[str, float] = {}
        self.refused: set[int] = set()
        self.operations_wait = asyncio.Event()
        """Set when there are operations that nobody carries out."""

    async def round(self) -> float:
        """Do what is due. In how many seconds the next round is."""
        connection = await self.link.get()
        if self.is_due("refused"):  # whoever was in their way may have been put right
            self.refused.clear()
            self.done("refused", REFUSED_SECONDS)
        pause, *_ = await all_of(
            connection,
            lambda: promote(connection, self.refused),
            lambda: self.if_due("orphans", ORPHANS_SECONDS, lambda: release_orphans(connection, self.refused)),
            lambda: self.if_due("types", TYPES_SECONDS, lambda: self.discover_event_types(connection)),
            lambda: self.if_due("operations", OPERATIONS_SECONDS, lambda: self.look_for_operations(connection)),
            # Before what is counted: after a pause it would stand in the minute in which that began.
            lambda: self.if_due("minute", MINUTE_SECONDS, lambda: note_minute(connection)),
            lambda: self.if_due("counts", WRITE_SECONDS, lambda: self.account.keep(connection)),
            lambda: self.if_due("fold", IDLE_SECONDS, lambda: queue.fold_counts(connection, IDLE_SECONDS, TYPES_MAX)),
            # By itself: what is dropped may have to wait for a reader, and all that end a job wait behind it.
            lambda: self.if_due("days", PRUNE_SECONDS, lambda: keep_days(connection, self.retention_days)),
            lambda: self.if_due("prune", PRUNE_SECONDS, lambda: self.pruner.step(connection)),
        )
        return float(pause)

    async def look_for_operations(self, connection: Connection) -> None:
        if await queue.operations_wait(connection):
            self.operations_wait.set()

    async def discover_event_types(self, connection: Connection) -> bool:
        """Whether more are left."""
        following = await queue.discover_event_types(connection, self.next_type, LOOKED_MAX)
        self.next_type = queue.FIRST if following is None else following
        return following is not None

    async def if_due(self, what: str, seconds: float, chore: Callable[[], Awaitable[Any]]) -> None:
        """Do it where its time has come; again in `seconds`, or at once where it answers True: more is left."""
        if self.is_due(what):
            after = min(seconds, AGAIN_SECONDS)  # should it fail
            try:
                after = 0.0 if await chore() is True else seconds
            finally:
                self.done(what, after)

    def is_due(self, what: str) -> bool:
        return time.monotonic() >= self.due.get(what, 0.0)

    def done(self, what: str, seconds: float) -> None:
        """In so many seconds again."""
        self.due[what] = time.monotonic() + seconds
