"""Ends what runs on a connection that leads nowhere: no timeout of the server's, nor of TCP, does that for sure."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import psycopg

Connection = psycopg.AsyncConnection[Any]
STATEMENT_SECONDS_MAX = 35.0
"""More than the statement_timeout of any session of ours: this is for a server that keeps none."""
PROMPT_SECONDS_MAX = 10.0
"""Of what takes milliseconds, and is done all the time: who notices by it that a connection leads nowhere."""
CANCEL_SECONDS_MAX = 2.0

_abandoned: set["asyncio.Task[None]"] = set()


@contextlib.contextmanager
def deadline(
    connection: Connection, seconds_max: float = STATEMENT_SECONDS_MAX, on_expiry: Callable[[], None] | None = None
) -> Iterator[None]:
    """Abandon what runs on a connection when it takes too long. Costs 5 microseconds.

    No timeout of the server's, nor of TCP, ends the wait for a backend that stands still: its kernel answers for it.
    Not by cancelling our task, since psycopg then waits for the answer in its own way before it raises.
    """
    loop = asyncio.get_running_loop()
    ended = False

    async def give_up() -> None:
        if ended:  # the answer was there, and this process had not come to read it
            return
        if on_expiry is not None:
            on_expiry()
        await abandon(connection)

    def expire() -> None:
        task = loop.create_task(give_up())
        _abandoned.add(task)
        task.add_done_callback(_abandoned.discard)

    timer = loop.call_later(seconds_max, expire)
    try:
        yield
    finally:
        ended = True
        timer.cancel()


async def abandon(connection: Connection) -> None:
    """End a statement that nobody waits for, and then its connection.

    Closing alone would leave a backend for each of them, waiting for its standby or its lock without end. Nothing
    but a cancel ends that wait, and where it makes the commit a success, that was already declared not known.
    """
    with contextlib.suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=CANCEL_SECONDS_MAX)
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)  # wakes whoever reads on it; closing it under them would not


async def hang_up(connection: Connection) -> None:
    """Close a connection on which another task may wait for an answer: closed under it, it would wait for ever."""
    if connection.lock.locked():
        await abandon(connection)
    async with connection.lock:  # until its statement has failed
        await connection.close()
