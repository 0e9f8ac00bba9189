"""One job: its event, every attempt, what happens next, and what can be done."""

import datetime as dt
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from starlette.responses import Response

from ... import listing
from ...listing import ActRow, Detail, FailureRow, JobRow, Why
from ...redaction import has_mask
from ..management.call import path_id
from . import answer
from .deed import Commands, commands, may
from .tree import CHARS_MAX, tree
from .visit import Page, Visit, missing

EVENT_SHOWN_CHARS_MAX = 4000
SEND_CHARS_MAX = 6000
"""As much as the template shows of a command."""
ATTEMPTS_SHOWN_MAX = 25
ACTS_SHOWN_MAX = 20
TRACE_CHARS_MAX = 2000
LAST_TRACE_CHARS_MAX = 16_000


class Attempt(NamedTuple):
    """A failure, and how much of its traceback is shown."""

    failure: FailureRow
    chars_max: int
    seconds: float | None


async def screen(visit: Visit) -> Page:
    job_id = path_id(visit.request.path_params["id"])
    now, found, said, acts = await visit.store.read(lambda connection: look(connection, job_id))
    if found is None or said is None:
        raise missing(f"There is no job {job_id}: it never was, or its day was pruned.")
    job = found.job
    deeds = may(job.status)
    shown = {
        "title": f"Job {job.id}",
        "now": now,
        "job": job,
        "why": said.why,
        "attempts": attempts(found.failures),
        "earlier": found.earlier_failures,
        "earlier_max": listing.EARLIER_MAX,
        "event": job.event_json[:EVENT_SHOWN_CHARS_MAX],
        "is_cut": len(job.event_json) > EVENT_SHOWN_CHARS_MAX,
        "tree": tree(job.event_json),
        "acts": acts,
        "log": found.log,
        "deeds": deeds,
        "commands": [commands(deed, [job.id], visit.base, visit.needs_key) for deed in deeds],
        "copies": copies(visit, job),
    }
    return Page("job", shown)


def look(connection: sa.Connection, job_id: int) -> tuple[dt.datetime, Detail | None, Why | None, list[ActRow]]:
    acts = listing.acts_page(connection, job_id=job_id, limit=ACTS_SHOWN_MAX).acts
    found = listing.detail(connection, job_id, CHARS_MAX + 1, ATTEMPTS_SHOWN_MAX)
    return listing.now(connection), found, listing.why(connection, job_id), acts


def attempts(failures: Sequence[FailureRow]) -> list[Attempt]:
    """The newest first."""
    return [
        Attempt(each, TRACE_CHARS_MAX if place else LAST_TRACE_CHARS_MAX, seconds(each))
        for place, each in enumerate(reversed(failures))
    ]


def seconds(failure: FailureRow) -> float | None:
    return None if failure.claimed_at is None else (failure.failed_at - failure.claimed_at).total_seconds()


class Copies(NamedTuple):
    """The same job from a terminal. `send` is empty where the event cannot be sent by a command that is shown."""

    show: Commands
    why: Commands
    send: str
    sql: str


def copies(visit: Visit, job: JobRow) -> Copies:
    token = ' -H "Authorization: Bearer $V7_ADMIN_TOKEN"' if visit.needs_key else ""
    address = f"{visit.base}/api/jobs/v1/{job.id}"
    show = Commands(f"v7 jobs show {job.id}", f"curl {address}{token}")
    why = Commands(f"v7 why {job.id}", f"curl {address}/why{token}")
    head = {"user_id": job.user_id, "priority": job.priority, "event_type_id": job.event_type_id}
    body = f'{msgspec.json.encode(head).decode()[:-1]},"event_data":{job.event_json}}}'
    media = "-H 'Content-Type: application/json'"
    send = f"curl {visit.base}/api/event/v1{visit.event_key} {media} -d {shlex.quote(body)}"
    # It would send the mask; or it would be cut, and leave a quotation open.
    if has_mask(job.event_json, visit.settings.redacted) or len(send) > SEND_CHARS_MAX:
        send = ""
    return Copies(show, why, send, f"select * from v7.all_jobs where id = {job.id};")  # noqa: S608 (it is shown, not run)


async def event(visit: Visit) -> Response:
    """The event as it was sent, to the letter."""
    job_id = path_id(visit.request.path_params["id"])
    found = await visit.store.read(lambda connection: listing.detail(connection, job_id))
    if found is None:
        raise missing(f"There is no job {job_id}.")
    return answer.raw(found.job.event_json)


async def attempt(visit: Visit) -> Response:
    """The whole traceback of a failed attempt."""
    job_id, number = path_id(visit.request.path_params["id"]), path_id(visit.request.path_params["attempt"])
    failed = await visit.store.read(lambda connection: listing.failure(connection, job_id, number))
    if failed is None:
        raise missing(f"There is no failed attempt {number} of job {job_id}.")
    return answer.raw(failed.traceback or f"{failed.error_type}: {failed.message}")
