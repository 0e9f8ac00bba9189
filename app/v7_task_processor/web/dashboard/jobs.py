"""Jobs by the page: filtered, shared by their address, chosen and acted on."""

import datetime as dt

import msgspec
import sqlalchemy as sa

from ... import listing
from ...job import FINISHED
from ...listing import Filter
from ...listing import Page as JobsPage
from ...overview import Depth, depth
from ..management.jobs import JobsQuery
from ..problem import Problem
from .access import PATH
from .deed import CANCEL, PRIORITY, REDRIVE, RESCHEDULE, RETRY
from .many import FIELDS
from .visit import Page, Visit, link

STATUSES = ("queued", "scheduled", "running", "dead", "succeeded", "cancelled")
SHOWN = 50
EVENT_CHARS_MAX = 200
DEEDS = (CANCEL, RETRY, REDRIVE, RESCHEDULE, PRIORITY)


async def screen(visit: Visit) -> Page:
    try:
        asked, problem = visit.asked(JobsQuery), ""
    except Problem as error:
        asked, problem = JobsQuery(), error.detail
    if asked.order == "queue" and asked.status not in (None, "queued"):
        asked = msgspec.structs.replace(asked, order="newest")
    now, standing, page = await visit.store.read(lambda connection: look(connection, asked))
    shown = {
        "title": "Jobs",
        "now": now,
        "asked": asked,
        "problem": problem,
        "depth": standing,
        "page": page,
        "deeds": DEEDS,
        "all_may": everything(asked),
        "tabs": tabs(asked),
        "next": page.next_after and link(f"{PATH}/jobs", msgspec.structs.replace(asked, after=page.next_after)),
        "first": asked.after is not None and link(f"{PATH}/jobs", msgspec.structs.replace(asked, after=None)),
        "filtered": filtered(asked),
        "empty_words": empty_words(asked, page),
    }
    return Page("jobs", shown, 400 if problem else 200)


def look(connection: sa.Connection, asked: JobsQuery) -> tuple[dt.datetime, Depth, JobsPage]:
    which = Filter(**{name: getattr(asked, name) for name in Filter.__struct_fields__})
    page = listing.listed_page(
        connection, which, asked.order, after=asked.after, limit=SHOWN, event_chars_max=EVENT_CHARS_MAX
    )
    return listing.now(connection), depth(connection.exec_driver_sql), page


def empty_words(asked: JobsQuery, page: JobsPage) -> str:
    if page.next_after is not None:
        return f"None among the {listing.LOOKED_MAX:,} that were looked at; the next page looks further."
    return "No such jobs." if filtered(asked) or asked.status else "No jobs yet: the first event makes one."


def filtered(asked: JobsQuery) -> bool:
    """Whether more is asked for than a status."""
    return msgspec.structs.replace(asked, status=None, after=None, order="newest", limit=20) != JobsQuery()


def everything(asked: JobsQuery) -> dict[str, str] | None:
    """The filter of an act on all that match; None where there are finished ones among them."""
    if asked.status in FINISHED or asked.finished_from or asked.finished_until:
        return None
    given = {name: getattr(asked, name) for name in FIELDS}
    if asked.order == "queue":
        given["status"] = "queued"  # the page shows no others
    return {
        name: each.isoformat() if isinstance(each, dt.datetime) else str(each)
        for name, each in given.items()
        if each is not None
    }


def tabs(asked: JobsQuery) -> list[tuple[str, str, bool]]:
    """Each status: its name, its address and whether it is shown."""
    base = msgspec.structs.replace(asked, after=None, order="newest")
    return [
        (name or "all", link(f"{PATH}/jobs", msgspec.structs.replace(base, status=name)), asked.status == name)
        for name in (None, *STATUSES)
    ]
