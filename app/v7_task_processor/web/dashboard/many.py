"""Acts on all jobs that a filter names: how many they are, and the operation that carries it out."""

import shlex
from collections.abc import Mapping

import msgspec

from ... import listing, queue
from ...chosen import Chosen
from ...listing import Matching
from ...queue import Connection, Order
from ..management.operations import Many
from ..management.parameters import convert
from ..problem import Problem
from .deed import PRIORITY, RESCHEDULE, Commands, Deed, curl, value
from .visit import Visit

FIELDS = Chosen.__struct_fields__
OPTIONS = {"event_type_id": "type", "user_id": "user"}


def chosen_of(given: Mapping[str, str]) -> Chosen:
    """Which jobs, by the fields of a form. Raises Problem."""
    return Chosen(
        **{name: convert("field", name, given[name], Many, strict=False) for name in FIELDS if given.get(name)}
    )


async def matching(visit: Visit, deed: Deed, chosen: Chosen) -> Matching:
    """How many it would meet now. Raises Problem."""
    statuses = possible(Order(deed.act, chosen)).statuses()
    return await visit.store.read(lambda connection: listing.matching(connection, chosen, statuses))


async def start(visit: Visit, deed: Deed, chosen: Chosen, given: str) -> int:
    """Begin with it. The operation's id. Raises Problem."""
    run_at = value(deed, given) if deed is RESCHEDULE else None
    priority = value(deed, given) if deed is PRIORITY else None
    order = possible(Order(deed.act, chosen, run_at, priority))

    async def begin(connection: Connection) -> int:
        return (await queue.start_operation(connection, order, visit.hand)).id

    return await visit.store.act(begin)


def possible(order: Order) -> Order:
    """Raises Problem where it can be done with none of these."""
    if not order.statuses():
        raise Problem("bad-request", f"What is {order.chosen.status} {queue.only_those(order.act)}")
    return order


def words(chosen: Chosen) -> list[tuple[str, str]]:
    """A filter, for people: the name of each field and its value."""
    fields = ((name, getattr(chosen, name)) for name in FIELDS)
    return [(name.replace("_", " "), str(each)) for name, each in fields if each is not None]


def many_commands(visit: Visit, deed: Deed, chosen: Chosen) -> Commands:
    """The same from a terminal."""
    given = msgspec.to_builtins(chosen)
    options = [
        f"--{OPTIONS.get(name, name).replace('_', '-')} {shlex.quote(str(each))}" for name, each in given.items()
    ]
    more = {RESCHEDULE.name: " --run-at 2030-01-31T12:00:00Z", PRIORITY.name: " --to -5"}.get(deed.name, "")
    examples: dict[str, dict[str, object]] = {
        RESCHEDULE.name: {"run_at": "2030-01-31T12:00:00Z"},
        PRIORITY.name: {"priority": -5},
    }
    extra = examples.get(deed.name, {})
    if deed.name == "redrive":
        options = [each for each in options if not each.startswith("--status")]
    body = msgspec.json.encode({**(given or {"all": True}), **extra}).decode()
    program = "v7 dead redrive" if deed.name == "redrive" else f"v7 jobs {deed.name}"
    cli = f"{program} {' '.join(options) or '--all'}{more}"
    return Commands(cli, curl(f"{visit.base}/api/jobs/v1/{deed.name}", visit.needs_key, body))
