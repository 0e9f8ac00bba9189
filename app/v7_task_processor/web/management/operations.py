"""Acts on all jobs that a filter names, as operations; and `/api/operations/v1`, `/api/audit/v1`."""

import datetime as dt
from typing import Annotated

import msgspec
from msgspec import Meta

from ... import listing, queue
from ...chosen import Chosen
from ...listing import ActPage, Matching, OperationPage, OperationRow
from ...queue import Connection, Order
from ..event import Integer
from ..problem import Problem
from .call import Call
from .jobs import REACH, Attempts, Limit, LiveStatus, Text
from .parameters import Time


class Many(msgspec.Struct, frozen=True, kw_only=True):
    """Which unfinished jobs, by the filters of the list; and whether only to say how many they are."""

    status: LiveStatus | None = None
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
    all: Annotated[bool, Meta(description="Needed where no filter is given, since all jobs are meant then.")] = False
    dry_run: Annotated[bool, Meta(description="Do nothing but say how many they are.")] = False


class ManyUntil(Many, frozen=True, kw_only=True):
    """The same, and when they are due. A time that is past is due at once."""

    run_at: Time


class ManyOf(Many, frozen=True, kw_only=True):
    """The same, and their new priority. The lower, the sooner."""

    priority: Integer


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """A dry run: how many jobs were meant now. Else the operation that was begun."""

    matching: Annotated[Matching | None, Meta(description="Only asked: how many jobs were meant.")] = None
    operation: Annotated[OperationRow | None, Meta(description="What was begun.")] = None


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What people did, the last first."""

    job_id: Annotated[Integer, Meta(description="Only what was done with this job alone.")] | None = None
    after: Annotated[Integer, Meta(description="The last page's next_after.")] | None = None
    limit: Limit = 20


class OperationsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Operations, the newest first."""

    after: Annotated[Integer, Meta(description="The last page's next_after.")] | None = None
    limit: Limit = 20


async def cancel(call: Call) -> Meant:
    return await many(call, "cancel")


async def retry(call: Call) -> Meant:
    return await many(call, "retry")


async def redrive(call: Call) -> Meant:
    return await many(call, "redrive")


async def reschedule(call: Call) -> Meant:
    run_at: dt.datetime = call.body.run_at
    if run_at >= REACH:
        raise Problem("bad-request", f"The field run_at is {run_at}: it must be before the year 9999.")
    return await many(call, "reschedule", run_at=run_at)


async def priority(call: Call) -> Meant:
    return await many(call, "priority", priority=call.body.priority)


async def many(call: Call, act: str, *, run_at: dt.datetime | None = None, priority: int | None = None) -> Meant:
    """Begin with all that the body names, or say how many they are. Raises Problem."""
    asked: Many = call.body
    chosen = Chosen(**{name: getattr(asked, name) for name in Chosen.__struct_fields__})
    if (chosen == Chosen()) != asked.all:
        detail = "Name a filter, or say all: true, which means every unfinished job; not both, and not neither."
        raise Problem("bad-request", detail)
    order = Order(act, chosen, run_at, priority)
    if not order.statuses():
        raise Problem("bad-request", f"What is {asked.status} {queue.only_those(act)}")
    if asked.dry_run:
        count = await call.store.read(lambda read: listing.matching(read, chosen, order.statuses()))
        return Meant(matching=count)

    async def start(connection: Connection) -> int:
        return (await queue.start_operation(connection, order, call.caller.hand)).id

    return Meant(operation=await found(call, await call.store.act(start)))


async def operations_page(call: Call) -> OperationPage:
    asked: OperationsQuery = call.query
    return await call.store.read(
        lambda connection: listing.operations_page(connection, after=asked.after, limit=asked.limit)
    )


async def operation(call: Call) -> OperationRow:
    return await found(call, call.id)


async def stop(call: Call) -> OperationRow:
    stopped = await call.store.act(lambda connection: queue.stop_operation(connection, call.id, call.caller.hand))
    now = await found(call, call.id)
    if stopped is None:
        raise Problem("conflict", f"Operation {call.id} is {now.status}: only one that has not ended can be stopped.")
    return now


async def found(call: Call, operation_id: int) -> OperationRow:
    row = await call.store.read(lambda connection: listing.operation(connection, operation_id))
    if row is None:
        raise Problem(
            "not-found", f"There is no operation {operation_id}: GET /api/operations/v1 lists those there are."
        )
    return row


async def acts_page(call: Call) -> ActPage:
    asked: AuditQuery = call.query
    return await call.store.read(
        lambda connection: listing.acts_page(connection, job_id=asked.job_id, after=asked.after, limit=asked.limit)
    )
