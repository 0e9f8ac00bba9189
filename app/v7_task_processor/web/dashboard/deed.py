"""What can be done from a page, and the commands that do the same."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from ... import queue
from ...queue import Connection
from ..management.jobs import REACH, Priority, Redrive, Reschedule
from ..management.parameters import convert
from ..problem import Problem
from .visit import zoned


class Deed(NamedTuple):
    """An act on jobs. `act` is its key in queue.MAY, `field` what must be given with it."""

    name: str
    label: str
    says: str
    act: str
    do: Callable[[Connection, int, str], Awaitable[Any]]
    field: str | None = None
    kind: type[msgspec.Struct] | None = None


async def cancel(connection: Connection, job_id: int, _given: str) -> Any:
    return await queue.cancel(connection, job_id)


async def retry(connection: Connection, job_id: int, _given: str) -> Any:
    return await queue.retry(connection, job_id)


async def redrive(connection: Connection, job_id: int, _given: str) -> Any:
    return await queue.redrive_one(connection, job_id)


async def reschedule(connection: Connection, job_id: int, given: str) -> Any:
    return await queue.reschedule(connection, job_id, value(RESCHEDULE, given))


async def set_priority(connection: Connection, job_id: int, given: str) -> Any:
    return await queue.set_priority(connection, job_id, value(PRIORITY, given))


async def redrive_edited(connection: Connection, job_id: int, given: str) -> Any:
    return await queue.redrive_edited(connection, job_id, value(EDIT, given))


CANCEL = Deed(
    "cancel", "Cancel", "Takes them out of the queue for good, into the history. Where one runs, its handler is told "
    "within a second, and what it does then counts for nothing.", "cancel", cancel,
)  # fmt: skip
RETRY = Deed("retry", "Retry now", "Queues them now, at the tail of their priority.", "retry", retry)
REDRIVE = Deed(
    "redrive", "Redrive", "Queues dead letters again, at the tail of their priority. Their failures are forgiven: they "
    "may fail as often as at first.", "redrive", redrive,
)  # fmt: skip
RESCHEDULE = Deed(
    "reschedule", "Reschedule", "Lets them wait until a time. One that is past is due at once.", "reschedule",
    reschedule, "run_at", Reschedule,
)  # fmt: skip
PRIORITY = Deed(
    "priority", "Set priority", "Gives them another priority; they go to the tail of it. The lower, the sooner.",
    "priority", set_priority, "priority", Priority,
)  # fmt: skip
EDIT = Deed(
    "edit", "Redrive with another event", "Makes a new job with this event in place of the dead letter, which is "
    "cancelled. The new one names the old one.", "redrive", redrive_edited, "event_data", Redrive,
)  # fmt: skip
DEEDS = {deed.name: deed for deed in (CANCEL, RETRY, REDRIVE, RESCHEDULE, PRIORITY, EDIT)}


def may(status: str, *, many: bool = False) -> list[Deed]:
    """What can be done with a job in this status."""
    return [deed for deed in DEEDS.values() if status in queue.MAY[deed.act] and not (many and deed is EDIT)]


def value(deed: Deed, given: str) -> Any:
    """What was given with an act, as its transition takes it. Raises Problem."""
    assert deed.field is not None and deed.kind is not None
    if deed is EDIT:
        if not well_formed(given):
            raise Problem("bad-request", "The event is not JSON.")
        return given
    found = convert("field", deed.field, zoned(given), deed.kind, strict=False)
    if deed is RESCHEDULE and found >= REACH:
        raise Problem("bad-request", f"The field run_at is {found}: it must be before the year 9999.")
    return found


def well_formed(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


class Commands(NamedTuple):
    """The same from a terminal."""

    cli: str
    curl: str


def commands(deed: Deed, ids: Sequence[int], base: str, token: bool, given: str | None = None) -> Commands:
    """For an act on these jobs; `given` or a word for it."""
    name = "redrive" if deed is EDIT else deed.name
    option = {"run_at": "--run-at", "priority": "--to", "event_data": "--event-data"}.get(deed.field or "")
    shown = given or {"run_at": "2030-01-31T12:00:00Z", "priority": "-5"}.get(deed.field or "", "{}")
    more = f" {option} {shlex.quote(shown)}" if option else ""
    body = None
    if deed.field:
        body = f'{{"{deed.field}": "{shown}"}}' if deed.field == "run_at" else f'{{"{deed.field}": {shown}}}'
    numbers = " ".join(map(str, ids))
    if len(ids) == 1:
        sent = curl(f"{base}/api/jobs/v1/{ids[0]}/{name}", token, body)
    else:
        sent = f"for id in {numbers}; do {curl(f'{base}/api/jobs/v1/$id/{name}', token, body)}; done"
    return Commands(f"v7 jobs {name} {numbers}{more}", sent)


def curl(address: str, token: bool, body: str | None) -> str:
    headers = ' -H "Authorization: Bearer $V7_ADMIN_TOKEN"' if token else ""
    sent = f" -H 'Content-Type: application/json' -d {shlex.quote(body)}" if body else ""
    return f"curl -X POST {address}{headers}{sent}"
