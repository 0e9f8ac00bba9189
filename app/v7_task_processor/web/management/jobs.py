"""`/api/jobs/v1`: jobs by the page, one with its history, and what people do with one."""

import contextlib
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, TypeVar, cast

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ... import listing, queue
from ...database import transaction
from ...listing import Detail, FailureRow, Filter, JobRow, Page, Why
from ...maintenance import recognise
from ...queue import Connection
from ...redaction import MASK, has_mask
from ..event import Integer
from ..problem import Problem
from .call import Call
from .parameters import Event, Time

Done = TypeVar("Done")
EVENT_CHARS_MAX = 1000
"""Of each event in a list: a page of whole ones could be a gigabyte."""
REACH = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
"""A CHECK refuses such a run_at."""
# Of JSON only NUL is no text to Postgres. Written so that Python's expressions and those of OpenAPI read it alike.
Text = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\u0000]*$")]
Attempts = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
LiveStatus = Literal["scheduled", "queued", "running", "dead"]
Status = Literal["scheduled", "queued", "running", "dead", "succeeded", "cancelled"]
AFTER = "The last page's next_after. With order=queue or status=dead: while that job is still there; else begin anew."


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs. Of two times the first is included, the second is not."""

    status: Status | None = None
    event_type_id: Integer | None = None
    user_id: Integer | None = None
    priority_min: Integer | None = None
    priority_max: Integer | None = None
    correlation_id: Text | None = None
    attempt_min: Attempts | None = None
    error: Annotated[Text, Meta(description="Part of the last error, in small or large letters.")] | None = None
    error_kind: Text | None = None
    created_from: Time | None = None
    created_until: Time | None = None
    finished_from: Time | None = None
    finished_until: Time | None = None
    order: Annotated[
        Literal["newest", "queue"],
        Meta(
            description="newest: the newest first, with status=dead the last that died. queue: what is queued, in the "
            "order in which it will be taken."
        ),
    ] = "newest"
    after: Annotated[Integer, Meta(description=AFTER)] | None = None
    limit: Limit = 20


class JobDetail(JobRow, frozen=True, kw_only=True):
    """One job: `event_data` is what was sent, to the letter, or a text where strict readers would refuse it."""

    event_data: Event
    failures: list[FailureRow]
    earlier_failures: int
    log: Annotated[
        str | None, Meta(description="What its last attempt logged, where that succeeded or put the job off.")
    ]


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """A job as an act left it. `redriven_from`: it is a new job, in place of that dead letter."""

    id: int
    status: Status
    redriven_from: int | None = None


class Reschedule(msgspec.Struct, frozen=True):
    """When it is due. A time that is past is due at once."""

    run_at: Time


class Priority(msgspec.Struct, frozen=True):
    """The lower, the sooner."""

    priority: Integer


class Redrive(msgspec.Struct, frozen=True):
    """With `event_data` a new job is made, in place of the dead letter."""

    event_data: Event | UnsetType = UNSET


async def jobs_page(call: Call) -> Page:
    asked: JobsQuery = call.query
    which = Filter(**{name: getattr(asked, name) for name in Filter.__struct_fields__})
    if asked.order == "queue" and asked.status not in (None, "queued"):
        raise Problem("bad-request", f"order=queue lists what is queued, so status={asked.status} finds nothing.")
    return await call.store.read(
        lambda connection: listing.listed_page(
            connection, which, asked.order, after=asked.after, limit=asked.limit, event_chars_max=EVENT_CHARS_MAX
        )
    )


async def job(call: Call) -> JobDetail:
    found = await call.store.read(lambda connection: listing.detail(connection, call.id))
    if found is None:
        raise missing(call.id)
    return whole(found)


async def why(call: Call) -> Why:
    found = await call.store.read(lambda connection: listing.why(connection, call.id))
    if found is None:
        raise missing(call.id)
    return found


def whole(found: Detail) -> JobDetail:
    event = msgspec.Raw(msgspec.json.encode(found.job.event_json))
    with contextlib.suppress(msgspec.DecodeError, RecursionError):
        event = msgspec.json.decode(found.job.event_json, type=msgspec.Raw)
    history = msgspec.structs.asdict(found)
    return JobDetail(**msgspec.structs.asdict(history.pop("job")), event_data=event, **history)


async def cancel(call: Call) -> Acted:
    await act(call, "cancel", lambda connection: queue.cancel(connection, call.id))
    return Acted(id=call.id, status="cancelled")


async def retry(call: Call) -> Acted:
    await act(call, "retry", lambda connection: queue.retry(connection, call.id))
    return Acted(id=call.id, status="queued")


async def reschedule(call: Call) -> Acted:
    run_at: dt.datetime = call.body.run_at
    if run_at >= REACH:
        raise Problem("bad-request", f"The field run_at is {run_at}: it must be before the year 9999.")
    await act(call, "reschedule", lambda connection: queue.reschedule(connection, call.id, run_at), run_at=run_at)
    return Acted(id=call.id, status="scheduled")


async def priority(call: Call) -> Acted:
    wanted = call.body.priority

    def set_priority(connection: Connection) -> Awaitable[str | None]:
        return queue.set_priority(connection, call.id, wanted)

    status = await act(call, "priority", set_priority, priority=wanted)
    return Acted(id=call.id, status=cast("Status", status))


async def redrive(call: Call) -> Acted:
    if call.body.event_data is UNSET:
        await act(call, "redrive", lambda connection: queue.redrive_one(connection, call.id))
        return Acted(id=call.id, status="queued")
    event_data = bytes(call.body.event_data).decode("utf-8", "surrogatepass")
    if has_mask(event_data, call.settings.redacted):
        raise Problem("bad-request", f"The field event_data has {MASK} where V7_REDACT hides a value: send the value.")

    async with call.store.connected() as connection:
        await recognise(connection)
        async with transaction(connection):
            new = await queue.redrive_edited(connection, call.id, event_data)
            if new is not None:
                await queue.note_act(
                    connection, call.caller.hand, "redrive", job_id=call.id, given={"new_job_id": new}, jobs=1
                )
                return Acted(id=new, status="queued", redriven_from=call.id)
        raise await refused(connection, call, "redrive")


async def act(
    call: Call, name: str, transition: Callable[[Connection], Awaitable[Done | None]], **given: object
) -> Done:
    """Do it and note it, or say why not. `name` as in queue.MAY. Raises Problem."""
    async with call.store.connected() as connection:
        async with transaction(connection):
            if answer := await transition(connection):
                await queue.note_act(connection, call.caller.hand, name, job_id=call.id, given=given, jobs=1)
                return answer
        raise await refused(connection, call, name)


async def refused(connection: Connection, call: Call, name: str) -> Problem:
    """Why an act was not done."""
    status = await queue.status_of(connection, call.id)
    return missing(call.id) if status is None else Problem("conflict", queue.why_not(call.id, status, name))


def missing(job_id: int) -> Problem:
    return Problem("not-found", f"There is no job {job_id}: it never was, or its day was pruned.")
