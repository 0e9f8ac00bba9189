"""What people do with jobs: `v7 jobs cancel`, `retry`, `reschedule`, `priority`, `redrive`."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import click
import psycopg

from .. import database, queue
from ..errors import V7Error
from ..maintenance import recognise
from ..observability import logs
from ..queue import Connection, Order
from ..redaction import MASK, has_mask
from ..settings import Settings
from ..text import plural
from .bulk import carry_out
from .hand import hand
from .options import DATABASE, ID, NUMBER, examples, json_option, settings_options
from .output import document
from .place import checked
from .send import raw
from .which import Time, Which, which_jobs

Transition = Callable[[Connection, int], Awaitable[object]]
Greeting = Callable[[Connection], Awaitable[None]]

SESSION = {"lock_timeout": f"{queue.LOCK_SECONDS}s"}
"""A job that another holds keeps whoever asks, and the others that are named, waiting no longer."""


class Refused(NamedTuple):
    """A job with which it was not done. `status` is what it has now; None: there is no such job."""

    id: int
    why: str
    status: str | None


@click.command(epilog=examples("v7 jobs cancel 42 43", "v7 jobs cancel --status queued --type 5 --dry-run"))
@json_option
@which_jobs("cancel", queue.MAY["cancel"])
@settings_options(*DATABASE)
def cancel(settings: Settings, which: Which, as_json: bool) -> int:
    """Take jobs out of the queue for good, running ones too.

    Those of the IDs, or all that filters name. A handler that runs is told within a second (an async one by a
    CancelledError; a thread cannot be told), and whatever it does then counts for nothing.
    """
    return act_on(settings, Order("cancel", which.chosen), queue.cancel, which, as_json)


@click.command(epilog=examples("v7 jobs retry 42 43", "v7 jobs retry --status scheduled --type 5 --yes"))
@json_option
@which_jobs("retry", queue.MAY["retry"])
@settings_options(*DATABASE)
def retry(settings: Settings, which: Which, as_json: bool) -> int:
    """Queue scheduled or dead jobs now. They go to the tail of their priority."""
    return act_on(settings, Order("retry", which.chosen), queue.retry, which, as_json)


@click.command(
    epilog=examples(
        "v7 jobs reschedule 42 --run-at 2030-01-31T12:00", "v7 jobs reschedule --type 5 --run-at 2030-02-01"
    )
)
@click.option("--run-at", type=Time(), required=True, help="When they are due.")
@json_option
@which_jobs("reschedule", queue.MAY["reschedule"])
@settings_options(*DATABASE)
def reschedule(settings: Settings, run_at: dt.datetime, which: Which, as_json: bool) -> int:
    """Let scheduled or queued jobs wait until a time. One that is past is due at once."""

    async def step(connection: Connection, job_id: int) -> object:
        return await queue.reschedule(connection, job_id, run_at)

    order = Order("reschedule", which.chosen, run_at=run_at)
    return act_on(settings, order, step, which, as_json, run_at=run_at)


@click.command(epilog=examples("v7 jobs priority 42 --to -5", "v7 jobs priority --user 7 --to 0 --yes"))
@click.option("--to", "wanted", type=NUMBER, required=True, metavar="NUMBER", help="The priority.")
@json_option
@which_jobs("priority", queue.MAY["priority"])
@settings_options(*DATABASE)
def priority(settings: Settings, wanted: int, which: Which, as_json: bool) -> int:
    """Give jobs that do not run another priority. They go to the tail of it; the lower, the sooner."""

    async def step(connection: Connection, job_id: int) -> object:
        return await queue.set_priority(connection, job_id, wanted)

    order = Order("priority", which.chosen, priority=wanted)
    return act_on(settings, order, step, which, as_json, priority=wanted)


@click.command(epilog=examples("v7 jobs redrive 42", "v7 jobs redrive 42 --event-data '{\"amount\": 1}'"))
@click.option("--event-data", metavar="JSON|-", help="Another event, as a new job in its place.")
@json_option
@click.argument("job_id", metavar="ID", type=ID)
@settings_options(*DATABASE)
def redrive(settings: Settings, event_data: str | None, as_json: bool, job_id: int) -> int:
    """Queue a dead letter again, its failures forgiven. For many: v7 dead redrive.

    With another event a new job is made that names the old one, and the old one is cancelled.
    """
    text = None if event_data is None else bytes(raw(event_data)).decode("utf-8", "surrogateescape")
    if text is None:
        return act(settings, "redrive", queue.redrive_one, (job_id,), as_json)
    if has_mask(text, settings.redacted):
        raise click.UsageError(f"event_data has {MASK} where V7_REDACT hides a value: give the value.")
    added: list[int] = []
    given: dict[str, object] = {}

    async def step(connection: Connection, job_id: int) -> object:
        if new := await queue.redrive_edited(connection, job_id, text):
            added.append(new)
            given["new_job_id"] = new
        return new

    return act(settings, "redrive", step, (job_id,), as_json, added, given, recognise)


ACTS = (cancel, retry, reschedule, priority, redrive)


def act_on(
    settings: Settings, order: Order, transition: Transition, which: Which, as_json: bool, **given: object
) -> int:
    """With those that are named, one by one; with those that filters name, as an operation."""
    if which.ids:
        return act(settings, order.act, transition, which.ids, as_json, given=given)
    return carry_out(settings, order, which, as_json)


def act(
    settings: Settings,
    name: str,
    transition: Transition,
    ids: tuple[int, ...],
    as_json: bool,
    added: Sequence[int] = (),
    given: Mapping[str, object] | None = None,
    greet: Greeting | None = None,
) -> int:
    """Do it with each, and say with which it was done; 1 where it was not with all. `name` as in queue.MAY."""
    with checked(settings) as place:
        did, refused = asyncio.run(each(place.url, name, transition, ids, given, greet))
    if as_json:
        document({"done": did, "refused": [each._asdict() for each in refused], "added": added})
        return 1 if refused else 0
    if did:
        click.echo(f"{plural(len(did), 'job')} {queue.DONE[name]}{f', as job {added[0]}' if added else ''}.")
    if refused:
        raise V7Error("\n".join(each.why for each in refused))
    return 0


async def each(
    url: str,
    name: str,
    transition: Transition,
    ids: Sequence[int],
    given: Mapping[str, object] | None = None,
    greet: Greeting | None = None,
) -> tuple[list[int], list[Refused]]:
    """Each in a transaction of its own, and noted in it. Raises V7Error where another holds the only one."""
    did: list[int] = []
    refused: list[Refused] = []
    several = len(set(ids)) > 1
    async with await database.connect(url, SESSION) as connection:
        if greet is not None:
            await greet(connection)
        for job_id in dict.fromkeys(ids):
            try:
                async with database.transaction(connection):
                    if done := await transition(connection, job_id):
                        await queue.note_act(connection, hand(), name, job_id=job_id, given=given, jobs=1)
            except psycopg.Error as error:
                if isinstance(error, psycopg.errors.LockNotAvailable) and not several:
                    raise V7Error(queue.LOCKED) from None
                if connection.closed or not several:
                    raise
                why = f"Job {job_id} was left as it is: {logs.said(error)}."
                refused.append(Refused(job_id, why, await queue.status_of(connection, job_id)))
                continue
            if done:
                did.append(job_id)
                continue
            status = await queue.status_of(connection, job_id)
            gone = f"There is no job {job_id}: it never was, or was pruned."
            refused.append(Refused(job_id, queue.why_not(job_id, status, name) if status else gone, status))
    return did, refused
