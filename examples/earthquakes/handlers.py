"""What happens with each seismic event: a row for its region, and an alert for what is no earthquake."""

import logging
import os

import psycopg

from v7_task_processor import Job, handler

log = logging.getLogger("earthquakes")
connection: psycopg.AsyncConnection | None = None

TABLES = """
create schema if not exists earthquakes;
create table if not exists earthquakes.starts (
    place bigint generated always as identity, event text, magnitude float8, attempt int);
create table if not exists earthquakes.seen (event text primary key);
create table if not exists earthquakes.regions (
    region text primary key, events int not null, strongest float8 not null, residuals float8 not null);
"""

# An event may run twice: its process may die after the work and before the word about it. So the row that says it
# was counted and the count change in one transaction, and a second run finds the row and changes nothing.
COUNT = """
with new as (insert into earthquakes.seen values (%(event)s) on conflict do nothing returning event)
insert into earthquakes.regions as region select %(region)s, 1, %(magnitude)s, %(residual)s from new
on conflict (region) do update set events = region.events + 1,
    strongest = greatest(region.strongest, excluded.strongest), residuals = region.residuals + excluded.residuals
"""


async def database() -> psycopg.AsyncConnection:
    """One connection for this process. DATABASE_URL is always there: a worker sets it where the server is embedded."""
    global connection
    if connection is None or connection.closed:
        connection = await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
    return connection


def region_of(place: str) -> str:
    """ "4km W of Castaic, CA" is in CA; "Reykjanes Ridge" in itself."""
    return place.rpartition(", ")[2].rpartition(" of ")[2]


@handler()
async def count(job: Job) -> None:
    """Count the event in its region. Without a magnitude or a residual there is nothing to add: it fails."""
    properties = job.event_data["properties"]
    event, magnitude = job.event_data["id"], properties["mag"]
    connected = await database()
    await connected.execute(
        "insert into earthquakes.starts (event, magnitude, attempt) values (%s, %s, %s)",
        [event, magnitude, job.attempt],
    )
    values = {
        "event": event,
        "region": region_of(properties["place"]),
        "magnitude": float(magnitude),
        "residual": float(properties["rms"]),
    }
    await connected.execute(COUNT, values)
    if properties["type"] != "earthquake":
        log.info("a %s at %s", properties["type"], properties["place"])
