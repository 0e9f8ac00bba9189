"""Rare errors, by seed: any of our statements fails before or after its commit.

On the path of the processes of a test, Python imports this by itself before the program; so the product knows
nothing of it. RARE_ERRORS is "chance seed".
"""

import os
import random
import socket
from typing import Any

import psycopg

from v7_task_processor.queue import Connection
from v7_task_processor.queue.statement import Statement

CHANCE, SEED = os.environ["RARE_ERRORS"].split()
dice = random.Random(f"{SEED}-{os.getpid()}")
run = Statement.__call__


def hang_up(connection: Connection) -> None:
    """As the network does: under it, and unannounced."""
    with socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)


async def rarely(self: Statement, connection: Connection, **values: object) -> list[tuple[Any, ...]]:
    if dice.random() >= float(CHANCE):
        return await run(self, connection, **values)
    kind = dice.choice(["before", "after", "refused"])
    if kind == "refused" and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        raise psycopg.errors.SerializationFailure("rare error: the server refused it")
    if kind == "after":
        await run(self, connection, **values)
    hang_up(connection)
    return await run(self, connection, **values)


Statement.__call__ = rarely  # type: ignore[method-assign]
