"""What becomes of the jobs of a process, or of a node, that died: who is charged, who is given back.

A process that dies with one started job was killed by it: it is charged. With several, each is given back uncharged
as a suspect, to run alone, so that next time the one that kills is known. What had not started is given back as it
was; what had ended well is completed. Of a lost node no one saw which job it was, and everything on it may have
died by a power cut: what had started comes back as a suspect, and only who was a suspect already is charged. So it is
where somebody cancelled all tasks of a process: he may have ended well before those failed that he cancelled. And so
it is with what had ended otherwise than well, of which the database was not told yet: what it left behind (a thread)
may have killed the process.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from .. import queue
from ..child import EXIT_CANCELLED, EXIT_TERMINATED
from ..deadline import deadline
from ..job import retry_delay_seconds
from ..observability import logs, telemetry
from ..queue import Connection, Failure, Held, Running
from ..settings import Settings
from .slots import ENDED, STARTED, SUCCEEDED, Noted, Section

log = logs.get(__name__)
Item = TypeVar("Item")

LOCKED_PAUSES = (0.0, 0.05, 0.2, 0.5, 0.75, 1.0)
"""Seconds before each look whether a row is still locked. In all more than LOCK_SECONDS: while a statement of the dead
one waits for one row, it has locked others."""
GRACE_SECONDS = 5.0
"""How long after its limit an attempt that does not end may keep its process."""
STILL_SECONDS_MAX = 30.0
"""A loop that stands still for so long while no attempt runs is held by what a handler left behind."""
LOOP_SECONDS_MAX = 2.0
"""An event loop that has not turned for so long is held by a handler."""


class Death(NamedTuple):
    """How it died. `asked`: we ended it. `overdue`: jobs past their limit, for which we ended it. `unseen`: that by the
    notes only one had started does not tell that it is to blame."""

    error: str
    asked: bool = False
    overdue: frozenset[Held] = frozenset()
    unseen: bool = False


def ended_by(code: int) -> str:
    """An exit code in words; negative ones are signals."""
    if code == EXIT_TERMINATED:
        return "its process was told to end (SIGTERM), and not by its supervisor"
    if code == EXIT_CANCELLED:
        return "it, or what ran beside it, cancelled all tasks of its process, the worker's own too"
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"its process was ended by {name}"


class Charge(NamedTuple):
    """A job that was charged, and its status after that."""

    job_id: int
    event_type_id: int
    status: str


class Verdict(NamedTuple):
    """What to do with each job that a dead worker held."""

    complete: list[Running]
    charge: list[Running]
    suspect: list[Running]
    release: list[Running]


def judge(held: list[Running], notes: list[Noted] | None, death: Death) -> Verdict:
    """Decide from what the database says was held and what was noted. No notes: nothing is known to have started
    or not, and so all may have. Pure."""
    verdict = Verdict([], [], [], [])
    state = {(note.job_id, note.attempt): note.state for note in notes or []}
    unknown = STARTED if notes is None else None
    # By the notes, not by what is still held: the first part of a rescue that is repeated is no longer held.
    possible = len(held) if notes is None else sum(each in (STARTED, ENDED) for each in state.values())
    for job in held:
        now = state.get((job.id, job.attempt), unknown)
        if now == SUCCEEDED:
            verdict.complete.append(job)
        elif now is None or death.asked:
            verdict.release.append(job)
        elif death.overdue:
            (verdict.charge if (job.id, job.attempt) in death.overdue and now == STARTED else verdict.release).append(
                job
            )
        elif death.unseen:
            (verdict.charge if job.suspect else verdict.suspect).append(job)
        else:
            (verdict.charge if possible == 1 and (now == STARTED or job.suspect) else verdict.suspect).append(job)
    return verdict


class Done(NamedTuple):
    """What to tell of a rescue (nothing: nothing was held), who was charged, and the types of what was completed."""

    told: dict[str, object]
    charges: list[Charge]
    completed: list[int]


async def carry_out(
    connection: Connection, settings: Settings, worker_ids: list[int], notes: list[Noted] | None, death: Death
) -> None:
    """Take dead workers from the register, and do what is right with each job that they held. Repeatable.

    One transaction: where the register showed first that they are gone, the chore that gives back orphans would come
    between, and a charge would be lost.
    """
    with deadline(connection):
        async with connection.transaction():
            done = await carry_out_within(connection, settings, worker_ids, notes, death)
    await announce(connection, done)


async def carry_out_within(
    connection: Connection, settings: Settings, worker_ids: list[int], notes: list[Noted] | None, death: Death
) -> Done:
    """The same within the caller's transaction. What to announce after it."""
    charges: list[Charge] = []
    await queue.unregister(connection, worker_ids)
    held = await free_of_locks(connection, await queue.held_by(connection, worker_ids))
    verdict = judge(held, notes, death)
    for worker_id in worker_ids:
        charges += await carry_out_for(connection, settings, worker_id, verdict, death)
    if not held:
        return Done({}, [], [])
    told = {
        "count": len(held),
        "completed": len(verdict.complete),
        "charged": [each.job_id for each in charges],
        "suspects": len(verdict.suspect),
        "why": death.error,
    }
    return Done(told, charges, [job.event_type_id for job in verdict.complete])


async def free_of_locks(connection: Connection, held: list[Running]) -> list[Running]:
    """Those whose rows can be changed, which are locked now. A cancel, or the dead one's last word, holds a lock for a
    moment. Who holds one for longer than that keeps his row: it is left to the chore for orphans, and not charged."""
    locked: set[int] = set()
    for pause in LOCKED_PAUSES:
        await asyncio.sleep(pause)
        if not held or not (locked := await queue.locked(connection, [job.id for job in held])):
            return held
    log.warning("another session has locked the rows of a dead worker's jobs; given back later", job_ids=sorted(locked))
    return [job for job in held if job.id not in locked]


async def announce(connection: Connection, done: Done) -> None:
    """Tell of a rescue, and wake workers for it. Never in its transaction: where the server's queue of notifications
    is full, a commit that notifies fails."""
    if done.told:
        charged = [(each.event_type_id, each.status) for each in done.charges]
        telemetry.publish("attempts.rescued", charged=charged, completed=done.completed)
        telemetry.publish("job.rescued", **done.told)
        await queue.wake(connection, back=True)


async def carry_out_for(
    connection: Connection, settings: Settings, worker_id: int, verdict: Verdict, death: Death
) -> list[Charge]:
    """The part of one worker. The jobs that were charged."""

    def of(jobs: list[Running]) -> list[Held]:
        return [(job.id, job.attempt) for job in jobs if job.worker_id == worker_id]

    async def complete(part: Sequence[Held]) -> object:
        return await queue.complete(connection, worker_id, part, kept=settings.retention_days > 0)

    async def charge(part: Sequence[Failure]) -> object:
        rows = await queue.fail(connection, worker_id, f"worker {worker_id}", part)
        charges.extend(Charge(job_id, types[job_id], status) for job_id, status, _ in rows)
        return rows

    async def suspect(part: Sequence[Held]) -> object:
        return await queue.release(connection, worker_id, part, suspect=True)

    async def release(part: Sequence[Held]) -> object:
        return await queue.release(connection, worker_id, part)

    charges: list[Charge] = []
    types = {job.id: job.event_type_id for job in verdict.charge}
    guilty = [charged(job, settings, death) for job in verdict.charge if job.worker_id == worker_id]
    # What is refused, by somebody's trigger, is left to the chore for orphans.
    queue.left_running(await write_past(connection, complete, of(verdict.complete)))
    refused = await write_past(connection, charge, guilty)
    queue.left_running([((each.id, each.attempt), why) for each, why in refused])
    queue.left_running(await write_past(connection, suspect, of(verdict.suspect)))
    queue.left_running(await write_past(connection, release, of(verdict.release)))
    return charges


async def write_past(
    connection: Connection, write: Callable[[Sequence[Item]], Awaitable[object]], items: Sequence[Item]
) -> list[tuple[Item, Exception]]:
    """`queue.write_past` within a transaction, which a refusal must not end."""

    async def saved(part: Sequence[Item]) -> None:
        async with connection.transaction():
            await write(part)

    return await queue.write_past(saved, items) if items else []


def charged(job: Running, settings: Settings, death: Death) -> Failure:
    """The failure of a job that ends its process: it stays a suspect, so that it never again has neighbours."""
    delay = retry_delay_seconds(job.retry_count + 1, settings.retry_seconds)
    kind = "Timeout" if death.overdue else "Crash"
    return Failure(job.id, job.attempt, delay, kind, death.error, suspect=True)


class Stuck(NamedTuple):
    """A process that must be ended. `guilty` is empty where it cannot be told which job holds it."""

    job_ids: list[int]
    guilty: frozenset[Held]


def stuck(section: Section) -> Stuck | None:
    """Whether a live worker has attempts that are well past their limit; None: it has not."""
    time = section.node.awake()
    started = [note for note in section.noted() if note.state == STARTED]
    overdue = [note for note in started if time > note.deadline + GRACE_SECONDS]
    if not started and section.tick_age_seconds() > STILL_SECONDS_MAX:
        return Stuck([], frozenset())
    if not overdue:
        return None
    # Where the loop stands still, whoever holds it makes the others overdue as well: then it is as in a crash.
    one_of_several = section.tick_age_seconds() > LOOP_SECONDS_MAX and len(started) > 1
    guilty = frozenset() if one_of_several else frozenset((note.job_id, note.attempt) for note in overdue)
    return Stuck([note.job_id for note in overdue], guilty)
