"""Which job it is that Postgres does not let be claimed."""

from collections.abc import Collection
from typing import NamedTuple

import psycopg

from ..deadline import STATEMENT_SECONDS_MAX, Connection, deadline
from .claiming import Frontier, Served, serving
from .refusal import is_damage, is_refusal
from .statement import Statement


class Vetoed(psycopg.errors.RaiseException):
    """A trigger leaves a job as it is, without a word."""

    def __init__(self) -> None:
        super().__init__("a trigger leaves it as it is, without a word")


class Asked(NamedTuple):
    """What a claim asked for. `frontier` None: suspects. `full_types` None: limits were not counted."""

    batch: int
    served: Served
    frontier: Frontier | None
    full_types: frozenset[int] | None = None


class Unclaimable(NamedTuple):
    job_id: int
    position: int
    error: Exception


_first_queued = Statement("first_queued")
_first_suspect = Statement("first_suspect")
_try_claim = Statement("try_claim")


async def unclaimable(
    connection: Connection, worker_id: int, asked: Asked, passed_over: Collection[int] = ()
) -> list[Unclaimable]:
    """Of the jobs that a claim of one looks at first, those that Postgres refuses, or finds damaged. Changes nothing.

    Each is tried by itself: what stands first may have changed since the claim, or be in the hands of others, and the
    claim alone tells of nobody who is to blame. Empty where it was no job's fault, or the job's no more.
    """
    found = []
    with deadline(connection, STATEMENT_SECONDS_MAX):
        async with connection.transaction(force_rollback=True):
            # What somebody's constraints would say at the commit, which is not to come.
            await connection.execute("set constraints all immediate")
            for job_id, position in await first_of(connection, asked, passed_over):
                try:
                    async with connection.transaction():
                        if not await _try_claim(connection, worker_id=worker_id, id=job_id, **serving(asked.served)):
                            raise Vetoed
                except Exception as error:  # also what this side cannot read
                    if not is_refusal(error) and not is_damage(error):
                        raise
                    found.append(Unclaimable(job_id, position, error))
    return found


async def first_of(connection: Connection, asked: Asked, passed_over: Collection[int]) -> list[tuple[int, int]]:
    """(id, position) of each job that a claim of one looks at. Locks them."""
    values = {**serving(asked.served), "passed_over": list(passed_over)}
    if asked.frontier is None:
        return await _first_suspect(connection, **values)
    return await _first_queued(
        connection,
        counts=asked.full_types is not None,
        probed_types=list(asked.full_types or ()),
        frontier_priority=asked.frontier.priority,
        frontier_position=asked.frontier.position,
        horizon=asked.frontier.horizon,
        **values,
    )
