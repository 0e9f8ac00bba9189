"""The overview: what `v7 status` shows."""

import datetime as dt

import msgspec

from .counts import Depth, depth
from .look import Ask, Look
from .rates import Ended, ended
from .session import now
from .waits import Oldest, oldest, oldest_by_type, queued_types
from .workers import nodes, serves

NAMED_MAX = 100
"""So many types an overview names."""

_paused_types = Look("paused_types")


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the whole. `unserved`: types with queued jobs for which no node has a handler."""

    now: dt.datetime
    jobs: Depth
    oldest: Oldest | None
    paused: list[int]
    unserved: list[int]
    nodes: int
    nodes_lost: int
    workers: int
    last_minute: Ended
    last_hour: Ended


def glance(ask: Ask) -> Overview:
    """Everything at a glance."""
    moment = now(ask)
    listed = nodes(ask)
    alive = [node for node in listed if node.alive]
    queued = queued_types(ask)
    return Overview(
        now=moment,
        jobs=depth(ask),
        oldest=oldest(oldest_by_type(ask, moment, queued)),
        paused=[number for (number,) in _paused_types(ask, at_most=NAMED_MAX)],
        unserved=[each for each in queued if not serves(listed, each)][:NAMED_MAX],
        nodes=len(alive),
        nodes_lost=len(listed) - len(alive),
        workers=sum(len(node.workers) for node in alive),
        last_minute=ended(ask, moment, 60),
        last_hour=ended(ask, moment, 3600),
    )
