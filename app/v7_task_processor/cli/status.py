"""`v7 status`: everything at a glance."""

import click

from ..job import LIVE
from ..overview import Ended, Overview, glance
from ..settings import Settings
from ..text import age, number, plural, types
from .options import DATABASE, examples, json_option, settings_options
from .output import document
from .place import seeing

SHOWN_MAX = 8


@click.command(epilog=examples("v7 status", "watch v7 status", "v7 status --json | jq .jobs.dead"))
@json_option
@settings_options(*DATABASE)
def status(settings: Settings, as_json: bool) -> None:
    """What waits, what runs, what died, how fast it goes, and who works.

    Large numbers are counted up to a limit and shown as 10,000+.
    """
    with seeing(settings) as ask:
        found = glance(ask)
    if as_json:
        document(found)
        return
    for label, says in [*depth_lines(found), *pace_lines(found, settings), *node_lines(found)]:
        click.echo(f"{click.style(label.ljust(10), bold=True)} {says}")


def depth_lines(found: Overview) -> list[tuple[str, str]]:
    depth = found.jobs
    counts = {name: number(getattr(depth, name), at_least=name in depth.capped).rjust(8) for name in LIVE}
    oldest = ""
    if found.oldest is not None:
        least = "at least " if found.oldest.at_least else ""
        oldest = f"   the oldest waits {least}{age(found.oldest.age_seconds)}"
    return [
        ("queued", counts["queued"] + oldest),
        ("scheduled", counts["scheduled"]),
        ("running", counts["running"]),
        ("dead", counts["dead"] + ("   v7 dead list" if depth.dead else "")),
    ]


def pace_lines(found: Overview, settings: Settings) -> list[tuple[str, str]]:
    minute, hour = found.last_minute, found.last_hour
    succeeded = pace("succeeded", minute, hour)
    if settings.retention_days == 0:
        succeeded = "   not kept (V7_RETENTION_DAYS=0)"
    return [
        ("succeeded", succeeded),
        ("failed", pace("failed_attempts", minute, hour)),
    ]


def pace(what: str, minute: Ended, hour: Ended) -> str:
    first, last = (number(getattr(each, what), at_least=what in each.capped) for each in (minute, hour))
    return f"{first.rjust(8)}   in the last minute, {last} in the last hour"


def node_lines(found: Overview) -> list[tuple[str, str]]:
    shown = [("nodes", f"{found.nodes:8,}   with {plural(found.workers, 'worker')}")]
    if not found.workers:
        shown = [("workers", warning("none, so nothing is handled now: start v7 run"))]
    if found.nodes_lost:
        shown.append(("lost", warning(f"{plural(found.nodes_lost, 'node')} without a heartbeat: v7 workers")))
    if found.paused:
        shown.append(("paused", f"{types(found.paused, SHOWN_MAX)}: v7 types resume ID lets them run"))
    if found.unserved and found.workers:
        says = f"{types(found.unserved, SHOWN_MAX)}: events wait, and no running node has a handler for them"
        shown.append(("unserved", warning(says)))
    return shown


def warning(text: str) -> str:
    return click.style(text, fg="yellow")
