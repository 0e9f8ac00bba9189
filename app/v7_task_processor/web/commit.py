"""The commits of the ingest: a batch of events in one statement, on one connection, and what became of each."""

import asyncio
import contextlib
import select
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

import psycopg
from psycopg.errors import DeadlockDetected, Diagnostic, SerializationFailure

from .. import queue
from ..database import Link, is_unconfirmed
from ..deadline import abandon
from ..maintenance import recognise
from ..observability import logs
from ..observability.seldom import Seldom
from ..queue import Connection, Enqueued
from .outcome import NOT_ADDED, Added, Failed, Keyed, Outcome, conflict, not_added, not_known, refused

log = logs.get(__name__)

COMMIT_SECONDS_MAX = 10.0
CONNECT_SECONDS_MAX = 10.0
RECONNECT_SECONDS, RECONNECT_SECONDS_MAX = 0.1, 2.0
TRIES_MAX = 5
"""Of a batch that met a deadlock or a serialization failure."""
SESSION = {"client_min_messages": "warning"}
"""The warning is all that tells a commit from one whose wait for the standby was cancelled."""

CONNECTION_ERRORS = ("08", "57P", "58")
"""After these, from a server on its way down or from a pooler, nothing says what became of the commit."""

Sent = TypeVar("Sent", bound=Keyed)
Told = TypeVar("Told")
Statement = Callable[[Connection, Sequence[Sent]], Awaitable[Sequence[Told | Failed]]]


class Waiting(Generic[Sent, Told]):
    """An event, or a whole batch, and the request that waits for what becomes of it."""

    __slots__ = ("event", "outcome")

    def __init__(self, event: Sent) -> None:
        self.event = event
        self.outcome: asyncio.Future[Told | Failed] = asyncio.get_running_loop().create_future()

    def tell(self, outcome: Told | Failed) -> None:
        """The first word counts. A client that left hears nothing."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Broken(Exception):
    """Nothing more can be committed on this connection."""


class Committer:
    """Commits one batch at a time."""

    def __init__(self, url: str, seconds_max: float = COMMIT_SECONDS_MAX) -> None:
        self.link = Link(url, SESSION, recognise)
        self.seconds_max = seconds_max
        self.unconfirmed = False
        """Set when the server says that the commit is here but not on its standby."""
        self.stuck = False
        """The last batch ended because its commit took too long."""
        self.in_flight: tuple[Connection, Sequence[Waiting[Any, Any]]] | None = None
        self.abandoned: asyncio.Task[None] | None = None
        self.pause, self.again_at = 0.0, 0.0
        self.seldom = Seldom()

    async def commit(self, batch: Sequence[Waiting[Enqueued, Added]]) -> int:
        """Tell each of the batch what became of it. How many were added."""
        plain = [each for each in batch if each.event.key is None]
        keyed = [each for each in batch if each.event.key is not None]
        await self.carry_out([(enqueue, plain), (enqueue_once, keyed)])
        # A client that left leaves no outcome; its job is counted, for what that is worth.
        return sum(each.outcome.cancelled() or isinstance(each.outcome.result(), Added) for each in batch)

    async def carry_out(self, work: Sequence[tuple[Statement[Sent, Told], Sequence[Waiting[Sent, Told]]]]) -> None:
        """Run each statement for its group, and tell each of them what became of it."""
        self.stuck = False
        failed = NOT_ADDED
        try:
            connection = await self.connected()
            for statement, group in work:
                if group:
                    await self.add(connection, statement, group)
        except Exception as error:
            self.warn(error)
            await self.close()
            failed = not_added(error)
        for _, group in work:
            for each in group:
                each.tell(failed)  # whoever was told nothing yet: nothing was sent for them

    async def add(
        self, connection: Connection, statement: Statement[Sent, Told], group: Sequence[Waiting[Sent, Told]]
    ) -> None:
        """Add a group in one transaction. Where one event is to blame for an error, the others do without it."""
        try:
            outcomes = await self.confirmed(connection, statement, group)
        except Exception as error:
            if not queue.is_refusal(error):
                raise
            if len(group) == 1:
                group[0].tell(refused(error))
                return
            middle = len(group) // 2
            await self.add(connection, statement, group[:middle])
            await self.add(connection, statement, group[middle:])
        else:
            for each, outcome in zip(group, outcomes, strict=True):
                each.tell(outcome)

    async def confirmed(
        self, connection: Connection, statement: Statement[Sent, Told], group: Sequence[Waiting[Sent, Told]]
    ) -> Sequence[Told | Failed]:
        """Run the statement. Raises what the server refused it with, and Broken where it is not known."""
        self.unconfirmed = False
        self.in_flight = connection, group
        deadline = asyncio.get_running_loop().call_later(self.seconds_max, self.abandon)
        try:
            outcomes = await persistently(statement, connection, [each.event for each in group])
        except Exception as error:
            if is_taken_back(error, connection) and not self.stuck:
                raise
            say_not_known(group)
            raise Broken(logs.said(error)) from error
        finally:
            deadline.cancel()
            self.in_flight = None
        if self.unconfirmed or self.stuck:
            say_not_known(group)
            raise Broken("the commit was not confirmed by the synchronous standby")
        return outcomes

    def abandon(self) -> None:
        """It takes too long: say so, whatever becomes of it, and get rid of it."""
        if self.in_flight is not None and not self.stuck:
            connection, group = self.in_flight
            self.stuck = True
            say_not_known(group)
            self.abandoned = asyncio.create_task(abandon(connection))

    def noticed(self, notice: Diagnostic) -> None:
        self.unconfirmed = self.unconfirmed or is_unconfirmed(notice)

    async def connected(self) -> Connection:
        """The connection, or a new one. While the database is away, at most one try in a while."""
        if self.link.connection is not None:
            if is_alive(self.link.connection):
                return self.link.connection
            await self.close()
        if time.monotonic() < self.again_at:
            raise Broken("waiting before connecting again")
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                connection = await self.link.get()
        except Exception:
            self.pause = min(max(2 * self.pause, RECONNECT_SECONDS), RECONNECT_SECONDS_MAX)
            self.again_at = time.monotonic() + self.pause
            raise
        self.pause = 0.0
        connection.add_notice_handler(self.noticed)
        return connection

    async def close(self) -> None:
        """Close the connection. May be called twice."""
        if self.abandoned is not None:
            await self.abandoned
            self.abandoned = None
        await self.link.close()

    def warn(self, error: Exception) -> None:
        """Log, at most once a second for each cause."""
        if self.seldom.allows(error):
            known = isinstance(error, psycopg.Error | Broken | TimeoutError | OSError)
            log.warning(
                "events could not be committed",
                error=logs.said(error),
                exc_info=not known,
            )


async def enqueue(connection: Connection, events: Sequence[Enqueued]) -> list[Outcome]:
    return [Added(job_id) for job_id in await queue.enqueue(connection, events)]


async def enqueue_once(connection: Connection, events: Sequence[Enqueued]) -> list[Outcome]:
    answers = await queue.enqueue_once(connection, events)
    return [
        Added(job_id) if same else conflict(event, job_id)
        for event, (job_id, same) in zip(events, answers, strict=True)
    ]


async def persistently(
    statement: Statement[Sent, Told], connection: Connection, events: Sequence[Sent]
) -> Sequence[Told | Failed]:
    """What was taken back for others' sake is done again: deadlocks with v7.enqueue under the same keys."""
    for _ in range(TRIES_MAX - 1):
        with contextlib.suppress(DeadlockDetected, SerializationFailure):
            return await statement(connection, events)
    return await statement(connection, events)


def is_taken_back(error: Exception, connection: Connection) -> bool:
    """Whether it is certain that nothing of the transaction stays: the server says so, or nothing was sent."""
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return True  # and its connection was closed for it
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return not connection.closed and not error.sqlstate.startswith(CONNECTION_ERRORS)
    return isinstance(error, psycopg.DataError | UnicodeError)


def say_not_known(group: Sequence[Waiting[Any, Any]]) -> None:
    for each in group:
        each.tell(not_known(each.event))


def is_alive(connection: Connection) -> bool:
    """Whether it is open, and silent: what comes unasked is most often the server's word that it closes."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
