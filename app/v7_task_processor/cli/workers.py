"""`v7 workers`: nodes and what runs on them; let them take no more jobs."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from .. import database, overview, queue
from ..errors import V7Error
from ..overview import NodeRow, WorkerRow
from ..queue import Connection
from ..settings import Settings
from ..text import clock, plain, short_age
from .hand import hand
from .options import DATABASE, examples, json_option, settings_options
from .output import document
from .place import checked, seeing
from .table import Column, table

Answer = TypeVar("Answer")
COLUMNS = [
    Column("ID", right=True),
    Column("NODE / WORKER"),
    Column("VERSION"),
    Column("UP", right=True),
    Column("STATE"),
    Column("RUNNING", right=True),
    Column("SERVES / RUNS NOW", grows=True),
]
RUNNING_SHOWN_MAX, RUNNING_TOLD_MAX = 100, 3
"""Jobs of each worker, for programs and for people."""


@click.group(
    invoke_without_command=True,
    epilog=examples("v7 workers", "v7 workers --json | jq '.nodes[] | select(.alive | not)'", "v7 workers drain 1"),
)
@click.pass_context
@json_option
@settings_options(*DATABASE)
def workers(settings: Settings, context: click.Context, as_json: bool) -> None:
    """Nodes, each with its last heartbeat and its workers, and what these run.

    A node beats every few seconds. Where its beat has stood still for 15 s, the others take over its jobs.
    """
    if context.invoked_subcommand is not None:
        context.default_map = {context.invoked_subcommand: context.params}  # what is said before its name holds for it
        return
    with seeing(settings) as ask:
        moment = overview.now(ask)
        nodes = overview.nodes(ask, RUNNING_SHOWN_MAX if as_json else RUNNING_TOLD_MAX)
    if as_json:
        document({"nodes": nodes})
    elif not nodes:
        click.echo("No nodes: nothing is handled now. Start one with v7 run.")
    else:
        table(COLUMNS, [cells for node in nodes for cells in rows(node, moment)])
        for node in nodes:
            if node.drained_at is not None:
                by = plain(node.drained_by or "?")
                click.echo(
                    f"{node.name} is drained since {clock(node.drained_at)} by {by}: v7 workers resume {node.id}"
                )


def rows(node: NodeRow, moment: dt.datetime) -> list[list[str]]:
    def up(since: dt.datetime) -> str:
        return short_age(max(0.0, (moment - since).total_seconds()))

    running = sum(worker.running for worker in node.workers)
    own = [str(node.id), node.name, node.version, up(node.started_at), state(node, running), str(running), serves(node)]
    return [own] + [
        [str(worker.id), f"  {worker.name}", "", up(worker.started_at), "", str(worker.running), runs(worker)]
        for worker in node.workers
    ]


def state(node: NodeRow, running: int) -> str:
    if not node.alive:
        return f"lost {short_age(node.beat_age_seconds)} ago"
    if node.drained_at is None:
        return "takes jobs"
    return "draining" if running else "drained"


def serves(node: NodeRow) -> str:
    if node.event_type_ids is None:
        return "all types"
    return ", ".join(map(str, node.event_type_ids)) or "nothing"


def runs(worker: WorkerRow) -> str:
    """What it has run for longest."""
    told = [f"{job.id} for {short_age(job.seconds)}" for job in worker.jobs]
    return ", ".join(told) + (", …" if worker.running > len(told) else "")


@workers.command(epilog=examples("v7 workers drain 1", "v7 workers drain alpha:100 --json"))
@json_option
@click.argument("node", metavar="NODE")
@settings_options(*DATABASE)
def drain(settings: Settings, as_json: bool, node: str) -> None:
    """Let a node, by its number or its name, take no more jobs. What it runs is finished.

    It stays idle until it is resumed. A node that is started anew takes jobs.
    """
    by = f"v7 workers drain by {hand().who}"
    node_id, since = act(
        settings, node, "drain", lambda connection, node_id: queue.drain_node(connection, node_id, by), drained_by=by
    )
    if since is None:
        raise no_node(node)
    if as_json:
        document({"id": node_id, "drained_at": since})
    else:
        click.echo(f"Node {node_id} takes no more jobs since {clock(since)}. v7 workers resume {node_id} ends it.")


@workers.command(epilog=examples("v7 workers resume 1", "v7 workers resume alpha:100 --json"))
@json_option
@click.argument("node", metavar="NODE")
@settings_options(*DATABASE)
def resume(settings: Settings, as_json: bool, node: str) -> None:
    """Let a node, by its number or its name, take jobs again."""
    node_id, done = act(settings, node, "resume", queue.resume_node)
    if not done:
        raise no_node(node)
    if as_json:
        document({"id": node_id, "drained_at": None})
    else:
        click.echo(f"Node {node_id} takes jobs.")


def act(
    settings: Settings,
    node: str,
    verb: str,
    transition: Callable[[Connection, int], Awaitable[Answer]],
    **given: object,
) -> tuple[int, Answer]:
    """What it answered for the node of that number or name, and its number. Raises V7Error where there is none."""
    with checked(settings) as place:
        with overview.seeing(place.url) as ask:
            named = [each.id for each in overview.nodes(ask) if node in (str(each.id), each.name)]
        if not named:
            raise no_node(node)
        if len(named) > 1:
            raise V7Error(f"Several nodes are called {node}: name one by its number, {' or '.join(map(str, named))}.")

        async def step() -> Answer:
            async with await database.connect(place.url) as connection, database.transaction(connection):
                answer = await transition(connection, named[0])
                if answer:
                    await queue.note_act(connection, hand(), verb, given={"node_id": named[0], **given})
                return answer

        return named[0], asyncio.run(step())


def no_node(node: str) -> V7Error:
    return V7Error(
        f"There is no node {plain(node)}: v7 workers shows those that there are. A worker goes with its node."
    )
