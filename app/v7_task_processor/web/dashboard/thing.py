"""Acts on other things than jobs: types that are paused, operations that are stopped."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ... import queue
from ...database import transaction
from ...observability import logs
from ...queue import Connection
from ..management.call import path_id
from ..management.problem import Problem
from .deed import Commands, curl
from .form import Fields
from .visit import Visit, missing

log = logs.get(__name__)


class Thing(NamedTuple):
    """An act. `field` has the thing's number, `noun` its name; `cli` and `path` do the same from elsewhere."""

    label: str
    says: str
    done: str
    field: str
    noun: str
    cli: str
    path: str
    do: Callable[[Connection, int, Visit], Awaitable[None]]


async def pause(connection: Connection, number: int, visit: Visit) -> None:
    by = f"the dashboard, {visit.visitor.who}"
    async with transaction(connection):
        await queue.pause_event_type(connection, number, by)
        await queue.note_act(connection, visit.hand, "pause", event_type_id=number, given={"paused_by": by})


async def resume(connection: Connection, number: int, visit: Visit) -> None:
    async with transaction(connection):
        if not await queue.resume_event_type(connection, number):
            raise missing(f"There is no event type {number}.")
        await queue.note_act(connection, visit.hand, "resume", event_type_id=number)


async def stop(connection: Connection, number: int, visit: Visit) -> None:
    if await queue.stop_operation(connection, number, visit.hand) is None:
        raise Problem("conflict", f"Operation {number} has ended already, or never was.")


THINGS = {
    "pause": Thing(
        "Pause", "Lets this type's jobs wait, on all nodes. What runs is finished, and new events still come in.",
        "the type is paused", "type", "type", "v7 types pause", "event-types/v1/{}/pause", pause,
    ),
    "resume": Thing(
        "Resume", "Lets this type's jobs run again, on all nodes.", "the type is resumed", "type", "type",
        "v7 types resume", "event-types/v1/{}/resume", resume,
    ),
    "stop": Thing(
        "Stop", "Ends this operation where it stands. What it has done stays done.", "the operation is stopped",
        "operation", "operation", "v7 operations stop", "operations/v1/{}/stop", stop,
    ),
}  # fmt: skip


def asked(visit: Visit, name: str, given: Fields) -> dict[str, object]:
    """What it would do. Raises Problem."""
    thing = THINGS[name]
    number = path_id(given.get(thing.field, ""))
    address = f"{visit.base}/api/{thing.path.format(number)}"
    return {
        "title": f"{thing.label} {thing.noun} {number}",
        "label": thing.label,
        "says": thing.says,
        "hidden": {"act": name, thing.field: number},
        "commands": Commands(f"{thing.cli} {number}", curl(address, visit.needs_key, None)),
    }


async def done(visit: Visit, name: str, given: Fields) -> None:
    """Do it. Raises Problem."""
    thing = THINGS[name]
    number = path_id(given.get(thing.field, ""))
    await visit.store.act(lambda connection: thing.do(connection, number, visit))
    log.info("an act from the dashboard", act=name, who=visit.visitor.who, **{thing.field: number})
