"""Why a job does not run (or that it does, or has ended): one sentence, and what it says as fields.

Each cause is a function that answers None where it is not the cause. The first one that holds is told: whatever comes
after it would not help.
"""

import contextlib
import datetime as dt
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from ..observability.families import OTHER
from ..overview import NodeRow, node_serves, nodes, takers
from ..schema import event_types
from ..text import cut, plural, span, utc
from .jobs import JobRow, all_jobs, columns
from .limits import full_types
from .line import before_it, of_type_before, suspects_before
from .series import recent_rate
from .session import now

ERROR_CHARS_MAX = 200

Cause = Literal[
    "succeeded", "cancelled", "dead", "running", "abandoned", "waits", "due", "paused", "no-worker", "unserved",
    "drained", "full", "suspect", "in-line", "next",
]  # fmt: skip


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """`why` is for people, `cause` for programs; of the rest what the cause has, else null."""

    id: int
    status: str
    cause: Cause
    why: str
    event_type_id: int
    since: dt.datetime | None = None
    """Since when it is so."""
    until: dt.datetime | None = None
    """Waits: when it is due. Running: when its time is up."""
    by: str | None = None
    """Who paused the type, or drained the nodes."""
    worker: str | None = None
    """Running: where."""
    error: str | None = None
    """Its last error, cut."""
    ahead: int | None = None
    """In line: jobs that will be taken before it. Full: those of its type."""
    ahead_at_least: bool = False
    """There are more than that."""
    estimate_seconds: float | None = None
    """In line: until it is taken, at the rate of the last five minutes. Null where nothing ended in them."""


class Seen(NamedTuple):
    """What the causes look at."""

    connection: sa.Connection
    moment: dt.datetime
    job: JobRow
    nodes: list[NodeRow]

    def says(self, cause: Cause, sentence: str, **fields: Any) -> Why:
        job = self.job
        return Why(
            id=job.id, status=job.status, cause=cause, event_type_id=job.event_type_id, why=f"Job {job.id} {sentence}",
            error=error_of(job), **fields,
        )  # fmt: skip

    @property
    def claimed_at(self) -> dt.datetime:
        """Of what runs. Where somebody has emptied it by SQL: it was not taken before it came."""
        return self.job.claimed_at or self.job.created_at

    def ago(self, time: dt.datetime) -> str:
        return span((self.moment - time).total_seconds())


def why(connection: sa.Connection, job_id: int) -> Why | None:
    """Why a job does not run; None: there is no such job (any more)."""
    statement = sa.select(*columns(all_jobs, 0)).where(all_jobs.c.id == job_id).limit(1)
    row = connection.execute(statement).mappings().first()
    if row is None:
        return None
    job = JobRow(**row)
    seen = Seen(connection, now(connection), job, nodes(connection.exec_driver_sql))
    if job.status != "queued":
        return TOLD[job.status](seen)
    return next(told for cause in CAUSES if (told := cause(seen)) is not None)


def succeeded(seen: Seen) -> Why:
    job = seen.job
    assert job.finished_at is not None
    retries = f", after {plural(job.retry_count, 'failure')}" if job.retry_count else ""
    took = f", {span((job.finished_at - job.claimed_at).total_seconds())} after it was taken" if job.claimed_at else ""
    sentence = f"succeeded at {utc(job.finished_at)}{took}{retries}."
    return seen.says("succeeded", sentence, since=job.finished_at)


def cancelled(seen: Seen) -> Why:
    finished_at = seen.job.finished_at
    assert finished_at is not None
    return seen.says("cancelled", f"was cancelled at {utc(finished_at)}; it will not run.", since=finished_at)


def dead(seen: Seen) -> Why:
    job = seen.job
    assert job.dead_at is not None
    reason = short(job.dead_reason or "")
    error = "" if job.last_error is None or (job.last_error in reason) else f"; the last error was {error_of(job)}"
    sentence = f"is dead since {utc(job.dead_at)}: {reason}{error}. It runs again only when it is redriven."
    return seen.says("dead", sentence, since=job.dead_at)


def running(seen: Seen) -> Why:
    job = seen.job
    node = next((node for node in seen.nodes for each in node.workers if each.id == job.worker_id), None)
    if node is None or not node.alive:
        return abandoned(seen, node)
    limits = node.timeouts or {}
    seconds = limits.get(str(job.event_type_id), limits.get(OTHER))
    until = None if seconds is None else later(seen.claimed_at, seconds)
    may = "" if until is None else left((until - seen.moment).total_seconds())
    sentence = f"runs on {job.worker} for {seen.ago(seen.claimed_at)} now (attempt {job.attempt}){may}."
    return seen.says("running", sentence, since=seen.claimed_at, until=until, worker=job.worker)


def later(time: dt.datetime, seconds: float) -> dt.datetime | None:
    """None: the calendar has no such time. Somebody wrote the last one that it has, or 'infinity', by SQL."""
    with contextlib.suppress(OverflowError):
        return time + dt.timedelta(seconds=seconds)
    return None


def left(seconds: float) -> str:
    if seconds > 0:
        return f", and may for {span(seconds)} more"
    return f", {span(-seconds)} longer than it may: it is being ended"


def abandoned(seen: Seen, node: NodeRow | None) -> Why:
    if node is None:
        gone = "that is not registered any more; a node will take it from there"
    else:
        silent = span(node.beat_age_seconds)
        gone = f"whose node has not been heard of for {silent}; another node will take it from there"
    sentence = f"was taken {seen.ago(seen.claimed_at)} ago by a worker {gone}."
    return seen.says("abandoned", sentence, since=seen.claimed_at, worker=seen.job.worker)


def scheduled(seen: Seen) -> Why:
    job = seen.job
    assert job.run_at is not None
    seconds = (job.run_at - seen.moment).total_seconds()
    if seconds <= 0:
        node = "a node is about to queue it" if takers(seen.nodes) else "no node with workers lives that would queue it"
        return seen.says("due", f"was due {span(-seconds)} ago, and {node}.", until=job.run_at)
    sentence = f"waits for its time, {utc(job.run_at)}, in {span(seconds)}"
    if job.retry_count:
        limit = "" if job.max_retries is None else f" of {job.max_retries}"
        sentence += f", since it has failed ({job.retry_count}{limit}): {error_of(job)}"
    return seen.says("waits", f"{sentence}.", until=job.run_at)


def paused(seen: Seen) -> Why | None:
    asked = sa.select(event_types.c.paused_at, event_types.c.paused_by)
    asked = asked.where(event_types.c.event_type_id == seen.job.event_type_id, event_types.c.paused_at.is_not(None))
    row = seen.connection.execute(asked).first()
    if row is None:
        return None
    sentence = (
        f"waits because its type, {seen.job.event_type_id}, is paused since {utc(row.paused_at)} by {row.paused_by}."
    )
    return seen.says("paused", sentence, since=row.paused_at, by=row.paused_by)


def no_worker(seen: Seen) -> Why | None:
    if takers(seen.nodes):
        return None
    lost = [node for node in seen.nodes if not node.alive]
    last = ""
    if lost:
        node = min(lost, key=lambda node: node.beat_age_seconds)
        last = f"; the node {node.name} was last heard of {span(node.beat_age_seconds)} ago"
    return seen.says("no-worker", f"waits because no worker lives{last}.")


def unserved(seen: Seen) -> Why | None:
    if servers(seen):
        return None
    count = len(takers(seen.nodes))
    live = f"{plural(count, 'node')} {'lives' if count == 1 else 'live'}"
    sentence = f"waits because no worker that lives has a handler for its type, {seen.job.event_type_id} ({live})."
    return seen.says("unserved", sentence)


def drained(seen: Seen) -> Why | None:
    able = servers(seen)
    if any(node.drained_at is None for node in able):
        return None
    last = max(able, key=lambda node: node.drained_at or seen.moment)
    assert last.drained_at is not None
    when = f"since {utc(last.drained_at)} by {last.drained_by}"
    number = seen.job.event_type_id
    sentence = (
        f"waits because {last.name}, the one node that serves its type, {number}, is drained {when}."
        if len(able) == 1
        else f"waits because all {len(able)} nodes that serve its type, {number}, are drained, the last {when}."
    )
    return seen.says("drained", sentence, since=last.drained_at, by=last.drained_by)


def full(seen: Seen) -> Why | None:
    job = seen.job
    held = full_types(seen.connection).get(job.event_type_id)
    if held is None:
        return None
    runs = f"{plural(held.running, 'job')} of it {'runs' if held.running == 1 else 'run'}, and {held.limit:,} may"
    line = suspects_before(seen.connection, job) if job.suspect else of_type_before(seen.connection, job)
    which = "the suspects" if job.suspect else "its type"
    before = f"{line.much} of {which} {'is' if line.ahead == 1 else 'are'} before it"
    sentence = (
        f"waits because the limit of its type, {job.event_type_id}, is full: {runs}; "
        f"{before if line.ahead else f'it is the next of {which}'}."
    )
    return seen.says("full", sentence, ahead=line.ahead, ahead_at_least=line.capped)


def suspect(seen: Seen) -> Why | None:
    job = seen.job
    if not job.suspect:
        return None
    line = suspects_before(seen.connection, job)
    charged = f" ({error_of(job)})" if job.last_error else ""
    before = f"{line.much} of these {'is' if line.ahead == 1 else 'are'} before it"
    sentence = (
        f"is a suspect: it was running when its process died{charged}, so it waits for a process in which nothing runs "
        f"beside it; {before if line.ahead else 'it is the next of these'}."
    )
    return seen.says("suspect", sentence, since=job.queued_at, ahead=line.ahead, ahead_at_least=line.capped)


def in_line(seen: Seen) -> Why:
    job = seen.job
    takes = [node for node in takers(seen.nodes) if node.drained_at is None]
    line = before_it(seen.connection, job, takes)
    if not line.ahead and not line.capped:
        busy = [worker.running for node in servers(seen) for worker in node.workers]
        room = sum(node.concurrency * len(node.workers) for node in servers(seen) if node.drained_at is None)
        which = "the one that runs" if sum(busy) == 1 else f"one of the {sum(busy):,} that run"
        when = f", when {which} has ended" if sum(busy) >= room else ""
        return seen.says("next", f"is the next to be taken{when}.", since=job.queued_at, ahead=0)
    rate = recent_rate(seen.connection)
    seconds = line.ahead / rate if rate and line.ahead else None
    return seen.says(
        "in-line",
        f"is in line behind {line.described(job)}; {estimate(seconds, rate, line.capped)}.",
        since=job.queued_at,
        ahead=line.ahead,
        ahead_at_least=line.capped,
        estimate_seconds=None if seconds is None else round(seconds, 1),
    )


CAUSES: tuple[Callable[[Seen], Why | None], ...] = (paused, no_worker, unserved, drained, full, suspect, in_line)
"""Of a queued job, the one that matters most first."""
TOLD: dict[str, Callable[[Seen], Why]] = {
    "succeeded": succeeded,
    "cancelled": cancelled,
    "dead": dead,
    "running": running,
    "scheduled": scheduled,
}


def servers(seen: Seen) -> list[NodeRow]:
    """Those of them with a handler for the job."""
    return [node for node in takers(seen.nodes) if node_serves(node, seen.job.event_type_id)]


def estimate(seconds: float | None, rate: float | None, capped: bool) -> str:
    if seconds is not None:
        return f"at the rate of the last five minutes that takes {'more than' if capped else 'about'} {span(seconds)}"
    return "how long that takes cannot be told" + ("" if rate else ", since nothing has ended in the last five minutes")


def error_of(job: JobRow) -> str | None:
    return None if job.last_error is None else short(job.last_error)


def short(text: str) -> str:
    return cut(" ".join(text.split()), ERROR_CHARS_MAX)
