"""What people do with single jobs: `v7 jobs cancel`, `retry`, `reschedule`, `priority`, `redrive`."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import click

from .. import database, queue
from ..errors import V7Error
from ..maintenance import recognise
from ..queue import Connection
from ..redaction import MASK, has_mask
from ..settings import Settings
from .options import DATABASE, examples, json_option, settings_options
from .output import document
from .place import checked
from .send import raw
from .text import plural

Transition = Callable[[Connection, int], Awaitable[object]]


class Time(click.ParamType[dt.datetime]):
    """A time; without a zone it is in that of the one who asks."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dt.datetime:
        try:
            time = dt.datetime.fromisoformat(str(value)).astimezone()
        except (ValueError, OverflowError):
            time = None
        if time is None or time.year >= 9999:
            says = f"{value!r} is no time like 2030-01-31 or 2030-01-31T12:00:00Z, before the year 9999."
            raise click.BadParameter(says, ctx, param)
        return time


class Refused(NamedTuple):
    """A job with which it was not done."""

    id: int
    why: str


job_ids = click.argument("ids", metavar="ID...", nargs=-1, type=int, required=True)


@click.command(epilog=examples("v7 jobs cancel 42", "v7 jobs cancel 42 43 --json"))
@json_option
@job_ids
@settings_options(*DATABASE)
def cancel(settings: Settings, as_json: bool, ids: tuple[int, ...]) -> int:
    """Take jobs out of the queue for good, whatever they are doing.

    A handler that runs is told within a second (an async one by a CancelledError; a thread cannot be told), and
    whatever it does then counts for nothing.
    """
    return act(settings, "cancelled", queue.cancel, ids, as_json)


@click.command(epilog=examples("v7 jobs retry 42", "v7 jobs retry 42 43 --json"))
@json_option
@job_ids
@settings_options(*DATABASE)
def retry(settings: Settings, as_json: bool, ids: tuple[int, ...]) -> int:
    """Queue scheduled or dead jobs now, at the tail of their priority."""
    return act(settings, "retried", queue.retry, ids, as_json)


@click.command(
    epilog=examples("v7 jobs reschedule 42 --run-at 2030-01-31T12:00", "v7 jobs reschedule 42 --run-at 2030-02-01")
)
@click.option("--run-at", type=Time(), required=True, help="When they are due.")
@json_option
@job_ids
@settings_options(*DATABASE)
def reschedule(settings: Settings, run_at: dt.datetime, as_json: bool, ids: tuple[int, ...]) -> int:
    """Let scheduled or queued jobs wait until a time. One that is past is due at once."""

    async def step(connection: Connection, job_id: int) -> object:
        return await queue.reschedule(connection, job_id, run_at)

    return act(settings, "rescheduled", step, ids, as_json)


@click.command(epilog=examples("v7 jobs priority 42 --to -5", "v7 jobs priority 42 43 --to 0 --json"))
@click.option(
    "--to", "wanted", type=click.IntRange(-(2**63), 2**63 - 1), required=True, metavar="NUMBER", help="The priority."
)
@json_option
@job_ids
@settings_options(*DATABASE)
def priority(settings: Settings, wanted: int, as_json: bool, ids: tuple[int, ...]) -> int:
    """Give jobs that do not run another priority; they go to the tail of it. The lower, the sooner."""

    async def step(connection: Connection, job_id: int) -> object:
        return await queue.set_priority(connection, job_id, wanted)

    return act(settings, "given another priority", step, ids, as_json)


@click.command(epilog=examples("v7 jobs redrive 42", "v7 jobs redrive 42 --event-data '{\"amount\": 1}'"))
@click.option("--event-data", metavar="JSON|-", help="Another event, as a new job in its place.")
@json_option
@click.argument("job_id", metavar="ID", type=int)
@settings_options(*DATABASE)
def redrive(settings: Settings, event_data: str | None, as_json: bool, job_id: int) -> int:
    """Queue a dead letter again, its failures forgiven. For many: v7 dead redrive.

    With another event a new job is made that names the old one, and the old one is cancelled.
    """
    text = None if event_data is None else bytes(raw(event_data)).decode("utf-8", "surrogateescape")
    if text is not None and has_mask(text, settings.redacted):
        raise click.UsageError(f"event_data has {MASK} where V7_REDACT hides a value: give the value.")
    added: list[int] = []

    async def step(connection: Connection, job_id: int) -> object:
        if text is None:
            return await queue.redrive_one(connection, job_id)
        await recognise(connection)
        if new := await queue.redrive_edited(connection, job_id, text):
            added.append(new)
        return new

    return act(settings, "redriven", step, (job_id,), as_json, added)


ACTS = (cancel, retry, reschedule, priority, redrive)


def act(
    settings: Settings,
    done: str,
    transition: Transition,
    ids: tuple[int, ...],
    as_json: bool,
    added: Sequence[int] = (),
) -> int:
    """Do it with each, and say with which it was done; 1 where it was not with all. `done` as in queue.MAY."""
    did: list[int] = []
    refused: list[Refused] = []

    async def each(url: str) -> None:
        async with await database.connect(url) as connection:
            for job_id in dict.fromkeys(ids):
                if await transition(connection, job_id):
                    did.append(job_id)
                else:
                    why = await queue.why_not(connection, job_id, done)
                    refused.append(Refused(job_id, why or f"There is no job {job_id}: it never was, or was pruned."))

    with checked(settings) as place:
        asyncio.run(each(place.url))
    if as_json:
        document({"done": did, "refused": [each._asdict() for each in refused], "added": added})
        return 1 if refused else 0
    if did:
        click.echo(f"{plural(len(did), 'job')} {done}{f', as job {added[0]}' if added else ''}.")
    if refused:
        raise V7Error("\n".join(each.why for each in refused))
    return 0
