"""How many jobs stand where.

Counts are bounded: past COUNT_MAX a number is a floor, its status stands in `capped`, and people read "10,000+". Where
more than that are scheduled or dead, the number of each type is a floor, 0 too ("0+"): those of all types that come
first are counted.
"""

from collections.abc import Sequence

import msgspec

from ..job import LIVE
from .look import Ask, Look

COUNT_MAX = 10_000

_elsewhere = Look("depth_elsewhere")
_in_line = Look("depth_in_line")
_by_type = Look("depth_by_type")
_queue_head = Look("queue_head")


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs stand in each status. Those in `capped` are floors."""

    scheduled: int
    queued: int
    running: int
    dead: int
    capped: list[str]


def depth(ask: Ask) -> Depth:
    """How many jobs stand in each status."""
    counts = totals(elsewhere(ask))
    counts["queued"] = counts.get("queued", 0) + in_line(ask)
    return capped(counts, set())


def in_line(ask: Ask) -> int:
    """How many jobs stand in the plain queue, COUNT_MAX + 1 at most; by its index alone, where vacuum has been."""
    ((count,),) = _in_line(ask, at_most=COUNT_MAX + 1)
    return int(count)


def depth_by_type(
    ask: Ask, event_type_ids: Sequence[int], beyond: dict[tuple[str, int], int], count_max: int = COUNT_MAX
) -> dict[int, Depth]:
    """How many jobs of each type stand in each status; `beyond`: those that are not in the plain queue, of which up
    to `count_max` of each type are counted."""
    floors = {status for status, count in totals(beyond).items() if count > COUNT_MAX}
    found = {}
    for number, queued in _by_type(ask, event_type_ids=list(event_type_ids), at_most=count_max + 1):
        counts = {status: count for (status, each), count in beyond.items() if each == number}
        counts["queued"] = counts.get("queued", 0) + queued
        found[number] = capped(counts, floors)
    return found


def queue_head(ask: Ask) -> dict[int, int]:
    """Of which types the next jobs are, COUNT_MAX + 1 of them at most."""
    return dict(map(tuple, _queue_head(ask, at_most=COUNT_MAX + 1)))


def totals(beyond: dict[tuple[str, int], int]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (status, _), count in beyond.items():
        counts[status] = counts.get(status, 0) + count
    return counts


def elsewhere(ask: Ask) -> dict[tuple[str, int], int]:
    """(status, type) of what does not stand in the plain queue, COUNT_MAX + 1 of each status at most."""
    return {(status, number): count for status, number, count in _elsewhere(ask, at_most=COUNT_MAX + 1)}


def capped(counts: dict[str, int], floors: set[str]) -> Depth:
    """`floors`: statuses of which not all jobs were looked at."""
    over = [name for name in LIVE if counts.get(name, 0) > COUNT_MAX or name in floors]
    return Depth(**{name: min(counts.get(name, 0), COUNT_MAX) for name in LIVE}, capped=over)
