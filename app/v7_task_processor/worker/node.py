"""A node's place among the others: its row, its heartbeat, and its watch over the heartbeats of the rest."""

import os
import platform
import tempfile
import uuid
from pathlib import Path

import psycopg

from .. import __version__, queue
from ..database import LOCAL, Link
from ..deadline import deadline
from ..errors import ConfigurationError
from ..maintenance import recognise
from ..observability import logs, telemetry
from ..queue import Node
from ..settings import Settings, data_path
from . import rescue
from .lane import BATCH
from .session import HOT
from .slots import NodeMap, now

log = logs.get(__name__)
BEAT_SECONDS = 3.0
LOST_SECONDS = 15.0
RETURN_SECONDS = 15.0
"""After an outage for all, so much longer for those who were not seen to live since: one is back before the other."""
WATCH_GAP_SECONDS_MAX = 8.0
"""Who did not look for so long saw nothing: an outage of the database, or of the watcher, stops all beats."""


class Member:
    """This node. Its beat has a connection of its own, so that nothing ever delays it."""

    def __init__(self, settings: Settings, url: str, node_map: NodeMap) -> None:
        assert node_map.path is not None
        self.settings, self.map, self.token = settings, node_map, node_map.path.stem
        self.id = 0
        self.drained_by: str | None = None
        self.link = Link(settings.session_url or url, {**LOCAL, "statement_timeout": "5s"}, recognise)
        self.watch_link = Link(url, HOT)
        self.watching: dict[int, tuple[Node, float]] = {}
        self.watched_at = 0.0

    async def join(self) -> None:
        """Enter the register; what this node serves is not known yet."""
        node_id = await queue.register(
            await self.link.get(),
            node_id=None,
            name=f"{platform.node()}:{os.getpid()}",
            pid=os.getpid(),
            token=self.token,
            version=__version__,
            concurrency=self.settings.concurrency,
            event_type_ids=[],
        )
        assert node_id is not None
        if self.drained_by is not None:  # others gave it up meanwhile; who drained it did not
            await queue.drain_node(await self.link.get(), node_id, self.drained_by)
        self.id = node_id

    async def beat(self) -> bool:
        """Say that this node lives. False: others have given it up."""
        sent_at = now()
        heard = await queue.beat(await self.link.get(), self.id)
        if heard is None:
            return False
        self.map.beat(sent_at)
        self.hear(heard.drained_by)
        return True

    def hear(self, drained_by: str | None) -> None:
        """Its workers hear of it by themselves, and sooner."""
        if drained_by is not None and self.drained_by is None:
            log.warning("this node is drained: it takes no more jobs until it is resumed", drained_by=drained_by)
        elif drained_by is None and self.drained_by is not None:
            log.info("this node is resumed: it takes jobs again")
        self.drained_by = drained_by

    async def watch(self) -> None:
        """Look at the others' beats; rescue from those that this node has itself seen stand still."""
        connection = await self.watch_link.get()
        time = unseen_since = now()
        # Where this node cannot say that it lives, the others cannot either: the database may be read-only.
        if max(time - self.watched_at, self.map.beat_age_seconds()) > WATCH_GAP_SECONDS_MAX:
            self.watching.clear()
            unseen_since += RETURN_SECONDS if self.watched_at else 0.0
        self.watched_at = time
        found = {node.id: node for node in await queue.nodes(connection) if node.id != self.id}
        self.watching = {
            node_id: self.watching[node_id]
            if node_id in self.watching and self.watching[node_id][0].heartbeat_at == node.heartbeat_at
            else (node, time if node_id in self.watching else unseen_since)
            for node_id, node in found.items()
        }
        for node, since in list(self.watching.values()):
            if time - since >= LOST_SECONDS:
                await self.rescue(node)

    async def rescue(self, node: Node) -> None:
        connection = await self.watch_link.get()
        death = rescue.Death("its node was lost", unseen=True)
        with deadline(connection):
            async with connection.transaction():
                worker_ids = await queue.give_up_node(connection, node)
                if worker_ids is None:
                    return
                done = await rescue.carry_out_within(connection, self.settings, worker_ids, None, death)
        telemetry.publish("node.lost", node_id=node.id)
        await rescue.announce(connection, done)

    async def leave(self) -> None:
        """Leave the register. That a connection broke since the last beat is only seen when it is used."""
        try:
            await queue.unregister(await self.link.get(), [self.id])
        except psycopg.OperationalError:
            if self.link.connection is None or not self.link.connection.closed:
                raise
            await queue.unregister(await self.link.get(), [self.id])


def nodes_folder(settings: Settings) -> Path:
    """Where the nodes of this host leave their notes for their successors."""
    return data_path(settings) / "nodes"


def node_map(settings: Settings, workers: int) -> NodeMap:
    """The memory that this node's processes share; its file is gone already where the folder cannot be written.

    Each worker has slots for what runs in it and for two batches of words that are not written yet.
    """
    slots = settings.concurrency + 2 * BATCH
    path = nodes_folder(settings) / f"{uuid.uuid4().hex}.map"
    try:
        return NodeMap.create(path, workers, slots)
    except OSError as error:
        log.info("no notes for a successor", folder=str(path.parent), error=error.strerror)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return NodeMap.create(Path(folder) / path.name, workers, slots)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write in {path.parent} nor in {tempfile.gettempdir()}: {error.strerror}. Make room, or name a "
            "folder that can be written with V7_DATA_DIR or TMPDIR."
        ) from None
