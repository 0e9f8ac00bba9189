"""Nodes of this host and data folder that died: their notes tell at once what no one else can know."""

import os
import time
from pathlib import Path

from .. import queue
from ..observability import logs, telemetry
from ..queue import Connection
from ..settings import Settings
from . import rescue
from .slots import NodeMap

log = logs.get(__name__)
FORGET_SECONDS = 7 * 86400


async def rescue_predecessors(connection: Connection, settings: Settings, folder: Path) -> None:
    """Rescue from each dead node that has left notes in `folder`, and remove them.

    Notes that no node of this database goes by stay for a week: they may belong to another database.
    """
    nodes = {node.token: node for node in await queue.nodes(connection)}
    for path in maps(folder):
        notes = NodeMap.of_dead_node(path)
        if notes is None:
            continue
        try:
            node = nodes.get(path.stem)
            if node is not None:
                await rescue_one(connection, settings, node.id, notes)
                path.unlink(missing_ok=True)
            elif time.time() - os.fstat(notes.fd).st_mtime > FORGET_SECONDS:
                path.unlink(missing_ok=True)
        finally:
            notes.close()


async def rescue_one(connection: Connection, settings: Settings, node_id: int, notes: NodeMap) -> None:
    workers = await queue.workers_of(connection, node_id)
    noted = [note for index in range(notes.sections) for note in notes.section(index).noted()]
    death = rescue.Death("its node died", unseen=True)
    await rescue.carry_out(connection, settings, [each.worker_id for each in workers], noted, death)
    await queue.unregister(connection, [node_id])
    telemetry.publish("node.rescued", node_id=node_id)


def maps(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.map"))
