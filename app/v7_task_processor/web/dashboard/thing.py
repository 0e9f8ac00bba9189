"""Acts on other things than jobs: types that are paused or limited, nodes that are drained, operations that are
stopped."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ... import queue
from ...database import transaction
from ...observability import logs
from ...queue import Connection
from ..management.call import path_id
from ..management.overview import TypeLimit
from ..management.parameters import convert
from ..problem import Problem
from .deed import Commands, curl
from .form import Fields
from .visit import Visit, missing

log = logs.get(__name__)


class Thing(NamedTuple):
    """An act. `field` has the thing's number, `noun` its name; `cli` and `path` do the same from elsewhere. `asks` is
    the field that may be given with it."""

    label: str
    says: str
    done: str
    field: str
    noun: str
    cli: str
    path: str
    do: Callable[[Connection, int, Visit, str], Awaitable[None]]
    asks: str | None = None


async def pause(connection: Connection, number: int, visit: Visit, _given: str) -> None:
    by = f"the dashboard, {visit.visitor.who}"
    async with transaction(connection):
        await queue.pause_event_type(connection, number, by)
        await queue.note_act(connection, visit.hand, "pause", event_type_id=number, given={"paused_by": by})


async def resume(connection: Connection, number: int, visit: Visit, _given: str) -> None:
    async with transaction(connection):
        if not await queue.resume_event_type(connection, number):
            raise missing(f"There is no event type {number}.")
        await queue.note_act(connection, visit.hand, "resume", event_type_id=number)


async def limit(connection: Connection, number: int, visit: Visit, given: str) -> None:
    to = limit_of(given)
    async with transaction(connection):
        await queue.limit_event_type(connection, number, to)
        noted = {"concurrency_limit": to}
        await queue.note_act(connection, visit.hand, "limit", event_type_id=number, given=noted)


def limit_of(given: str) -> int | None:
    """None: any number. Raises Problem."""
    name = "concurrency_limit"
    return int(convert("field", name, given, TypeLimit, strict=False)) if given else None


async def drain(connection: Connection, number: int, visit: Visit, _given: str) -> None:
    by = f"the dashboard, {visit.visitor.who}"
    async with transaction(connection):
        if await queue.drain_node(connection, number, by) is None:
            raise no_node(number)
        await queue.note_act(connection, visit.hand, "drain", given={"node_id": number, "drained_by": by})


async def undrain(connection: Connection, number: int, visit: Visit, _given: str) -> None:
    async with transaction(connection):
        if not await queue.resume_node(connection, number):
            raise no_node(number)
        await queue.note_act(connection, visit.hand, "resume", given={"node_id": number})


def no_node(number: int) -> Problem:
    return missing(f"There is no node {number} (any more).")


async def stop(connection: Connection, number: int, visit: Visit, _given: str) -> None:
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
    "limit": Thing(
        "Limit", "Lets no more than so many of this type's jobs run at once, on all nodes together. What runs is "
        "finished.", "the type has another limit", "type", "type", "v7 types limit", "event-types/v1/{}/limit", limit,
        "concurrency_limit",
    ),
    "drain": Thing(
        "Drain", "Lets this node take no more jobs. What it runs is finished, what it has not started goes back. It "
        "stays idle until it is resumed; a node that is started anew takes jobs.", "the node takes no more jobs",
        "node", "node", "v7 workers drain", "workers/v1/{}/drain", drain,
    ),
    "undrain": Thing(
        "Resume", "Lets this node take jobs again.", "the node takes jobs", "node", "node", "v7 workers resume",
        "workers/v1/{}/resume", undrain,
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
    value = given.get(thing.asks or "", "")
    return {
        "title": f"{thing.label} {thing.noun} {number}",
        "label": thing.label,
        "says": thing.says,
        "hidden": {"act": name, thing.field: number},
        "field": thing.asks,
        "value": value,
        "commands": commands(visit, thing, number, value),
    }


def commands(visit: Visit, thing: Thing, number: int, value: str) -> Commands:
    """The same from a terminal; where a value is asked for, with an example of one."""
    cli, address = f"{thing.cli} {number}", f"{visit.base}/api/{thing.path.format(number)}"
    if thing.asks is None:
        return Commands(cli, curl(address, visit.needs_key, None))
    example = (limit_of(value) if value else None) or 3
    return Commands(f"{cli} {example}  # or --none", curl(address, visit.needs_key, f'{{"{thing.asks}": {example}}}'))


async def done(visit: Visit, name: str, given: Fields) -> None:
    """Do it. Raises Problem."""
    thing = THINGS[name]
    number, value = path_id(given.get(thing.field, "")), given.get(thing.asks or "", "").strip()
    await visit.store.act(lambda connection: thing.do(connection, number, visit, value))
    log.info("an act from the dashboard", act=name, who=visit.visitor.who, **{thing.field: number})
