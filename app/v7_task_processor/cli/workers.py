"""`v7 workers`: nodes and what runs on them."""

import datetime as dt

import click

from .. import listing
from ..listing import NodeRow
from ..settings import Settings
from .options import DATABASE, examples, json_option, settings_options
from .output import Column, document, table
from .place import reading
from .text import short_age

COLUMNS = [
    Column("NODE / WORKER"),
    Column("VERSION"),
    Column("UP", right=True),
    Column("BEAT", right=True),
    Column("RUNNING", right=True),
    Column("SERVES", grows=True),
]
RUNNING_SHOWN_MAX = 100
"""Jobs of each worker, for programs."""


@click.command(epilog=examples("v7 workers", "v7 workers --json | jq '.nodes[] | select(.alive | not)'"))
@json_option
@settings_options(*DATABASE)
def workers(settings: Settings, as_json: bool) -> None:
    """Nodes, each with its last heartbeat and its workers.

    A node beats every few seconds. Where its beat has stood still for 15 s, the others take over its jobs.
    """
    with reading(settings) as connection:
        moment = listing.now(connection)
        nodes = listing.nodes(connection, RUNNING_SHOWN_MAX if as_json else 0)
    if as_json:
        document({"nodes": nodes})
    elif not nodes:
        click.echo("No nodes: nothing is handled now. Start one with v7 run.")
    else:
        table(COLUMNS, [cells for node in nodes for cells in rows(node, moment)])


def rows(node: NodeRow, moment: dt.datetime) -> list[list[str]]:
    def up(since: dt.datetime) -> str:
        return short_age(max(0.0, (moment - since).total_seconds()))

    beat = f"{short_age(node.beat_age_seconds)} ago" if node.alive else f"lost {short_age(node.beat_age_seconds)} ago"
    running = sum(worker.running for worker in node.workers)
    own = [node.name, node.version, up(node.started_at), beat, str(running), serves(node)]
    return [own] + [
        [f"  {worker.name}", "", up(worker.started_at), "", str(worker.running), ""] for worker in node.workers
    ]


def serves(node: NodeRow) -> str:
    if node.event_type_ids is None:
        return "all types"
    return ", ".join(map(str, node.event_type_ids)) or "nothing"
