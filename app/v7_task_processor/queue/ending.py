"""Out of `running`: every statement here is guarded by id, attempt and worker."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from psycopg.pq import TransactionStatus

from ..deadline import PROMPT_SECONDS_MAX, Connection
from .statement import Statement

Held = tuple[int, int]
"""(job id, attempt)"""

_complete = Statement("complete", PROMPT_SECONDS_MAX)
_complete_unkept = Statement("complete_unkept", PROMPT_SECONDS_MAX)
_complete_logged = Statement("complete_logged", PROMPT_SECONDS_MAX)


async def complete(connection: Connection, worker_id: int, held: Sequence[Held], *, kept: bool) -> int:
    """Jobs that succeeded leave the queue, for the history if `kept`. How many still were this worker's."""
    statement = _complete if kept else _complete_unkept
    rows = await statement(connection, worker_id=worker_id, **_held(held))
    return int(rows[0][0])


async def complete_logged(connection: Connection, worker_id: int, held: Sequence[Held], logs: Sequence[str]) -> int:
    """The same for the history, each with what its handler logged. Texts are clean."""
    ordered = sorted(zip(held, logs, strict=True))
    given = _held([each for each, _ in ordered])
    rows = await _complete_logged(connection, worker_id=worker_id, logs=[log for _, log in ordered], **given)
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
    log: str | None = None
    """What the attempt logged before."""


_fail = Statement("fail", PROMPT_SECONDS_MAX)


async def fail(
    connection: Connection, worker_id: int, worker: str, failures: Sequence[Failure]
) -> list[tuple[int, str, int]]:
    """Charge failures. For each that still was this worker's: (id, its new status, its retry_count).

    The row of one whose lock was waited for may be at another place now, and is not found: to be written once more.
    """
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
        logs=[failure.log for failure in failures],
    )
    return [(job_id, status, retry_count) for job_id, status, retry_count in rows]


_snooze = Statement("snooze", PROMPT_SECONDS_MAX)
_release = Statement("release", PROMPT_SECONDS_MAX)
_orphans = Statement("orphans")
_held_by = Statement("held", PROMPT_SECONDS_MAX)
_locked = Statement("locked", PROMPT_SECONDS_MAX)


async def snooze(
    connection: Connection,
    worker_id: int,
    put_off: Sequence[tuple[int, int, float]],
    logs: Sequence[str | None] = (),
) -> list[int]:
    """Put off jobs: (id, attempt, seconds), uncharged; `logs`: what each logged. Those that still were this worker's;
    one may be missing as in `fail`."""
    rows = await _snooze(
        connection,
        worker_id=worker_id,
        seconds=[float(seconds) for _, _, seconds in put_off],
        logs=list(logs) or [None] * len(put_off),
        **_held([(job_id, attempt) for job_id, attempt, _ in put_off]),
    )
    return [job_id for (job_id,) in rows]


async def release(connection: Connection, worker_id: int, held: Sequence[Held], *, suspect: bool = False) -> int:
    """Give jobs back uncharged, where they stood. How many still were this worker's."""
    given = _held(held)
    return len(await _release(connection, worker_id=worker_id, suspect=suspect, alone=_alone(connection), **given))


async def orphans(connection: Connection, batch: int, passed_over: Collection[int] = ()) -> dict[int, list[Held]]:
    """Up to `batch` jobs that run under workers that are not registered, but none of these; by worker."""
    found: dict[int, list[Held]] = {}
    for worker_id, job_id, attempt in await _orphans(connection, batch=batch, passed_over=list(passed_over)):
        found.setdefault(worker_id, []).append((job_id, attempt))
    return found


class Running(NamedTuple):
    """A job as the database says it runs."""

    id: int
    attempt: int
    worker_id: int
    suspect: bool
    max_retries: int
    retry_count: int
    event_type_id: int


async def held_by(connection: Connection, worker_ids: list[int]) -> list[Running]:
    """What these workers run, by what the database says."""
    return [Running(*row) for row in await _held_by(connection, worker_ids=worker_ids)]


async def locked(connection: Connection, ids: Sequence[int]) -> set[int]:
    """Those of these jobs whose rows somebody else has locked. In a transaction the others are locked by it then."""
    return {job_id for (job_id,) in await _locked(connection, ids=list(ids), alone=_alone(connection))}


def _alone(connection: Connection) -> bool:
    """Whether a statement is a transaction of its own."""
    return connection.info.transaction_status != TransactionStatus.INTRANS


def _held(held: Sequence[Held]) -> dict[str, object]:
    return {"ids": [each[0] for each in held], "attempts": [each[1] for each in held]}
