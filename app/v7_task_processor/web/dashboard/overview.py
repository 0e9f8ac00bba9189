"""The first screen: one sentence of verdict, and the numbers behind it."""

import asyncio
import datetime as dt
from typing import NamedTuple

import msgspec
import psycopg
import sqlalchemy as sa

from ... import listing, promise
from ...errors import V7Error
from ...listing import HOURS_MAX, DeadGroup
from ...overview import Overview, glance
from ...promise import Promise
from ...server import describe
from ..management.overview import SeriesQuery
from ..management.store import UNREACHABLE
from ..problem import unavailable
from .access import PATH
from .chart import Chart
from .verdict import Lately, verdict
from .visit import Page, Visit, link

LOOK_SECONDS_MAX = 5.0
HOUR = dt.timedelta(hours=1)
DEAD_SHOWN_MAX = 6


class Found(NamedTuple):
    overview: Overview
    lately: Lately
    dead: list[DeadGroup]
    chart: Chart


async def screen(visit: Visit) -> Page:
    asked = visit.asked(SeriesQuery)
    found, worth = await asyncio.gather(
        visit.store.read(lambda connection: look(connection, asked.hours)), worth_of(visit.store.url)
    )
    shown = {
        "title": "Overview",
        "now": found.overview.now,
        "found": found.overview,
        "findings": verdict(found.overview, found.lately, worth),
        "dead": found.dead,
        "chart": found.chart,
        "promise": worth,
        "retention_days": visit.settings.retention_days,
        "handlers": visit.settings.handlers,
        "empty": is_empty(found.overview),
        "received": found.chart.lately("received"),
        "ranges": ranges(asked),
        "first_event": first_event(visit),
    }
    return Page("overview", shown)


async def worth_of(url: str) -> Promise:
    """What an answer of 200 is worth now. Raises Problem."""
    try:
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            return promise.promise(await asyncio.to_thread(describe, url, promise.SETTINGS))
    except (V7Error, psycopg.Error, TimeoutError, OSError) as error:
        raise unavailable(UNREACHABLE) from error


def ranges(asked: SeriesQuery) -> list[tuple[str, str, bool]]:
    """What the curves may show: its name, its address and whether it is shown."""
    return [
        (name, link(PATH, msgspec.structs.replace(asked, hours=hours)), asked.hours == hours)
        for name, hours in (("hour", 1), ("day", HOURS_MAX))
    ]


def look(connection: sa.Connection, hours: int) -> Found:
    overview = glance(connection.exec_driver_sql)
    hour, two = overview.now - HOUR, overview.now - 2 * HOUR
    lately = Lately(listing.died_since(connection, hour, overview.now), listing.died_since(connection, two, hour))
    dead = listing.dead_groups(connection).groups[:DEAD_SHOWN_MAX] if overview.jobs.dead else []
    return Found(overview, lately, dead, Chart(listing.series(connection, hours), hours))


def is_empty(found: Overview) -> bool:
    """Whether nothing ever came, as far as one can see."""
    jobs, hour = found.jobs, found.last_hour
    return not (jobs.queued or jobs.scheduled or jobs.running or jobs.dead or hour.succeeded or hour.cancelled)


def first_event(visit: Visit) -> str:
    event = '{"event_type_id": 1, "user_id": 1, "priority": 1, "event_data": {"hello": "world"}}'
    return f"curl {visit.base}/api/event/v1{visit.event_key} -H 'Content-Type: application/json' -d '{event}'"
