"""Since when jobs wait."""

import datetime as dt
from collections.abc import Sequence

import msgspec
from msgspec import structs

from .look import Ask, Look

PRIORITIES_MAX = 100
"""So many priorities of a type are looked at for its oldest job: the first, and as many of the last."""
STEPS_MAX = 10_000
"""So many types are looked for, and so many priorities of all types together."""
LOOKED_MAX = 10_000
"""So many suspects are looked at, and so many of the jobs with the lowest ids."""

_queued_types = Look("queued_types")
_by_type = Look("oldest_by_type")
_of_first = Look("oldest_of_first")


class Oldest(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the queued job that waits longest has waited; `at_least`: one that waits longer may exist."""

    queued_at: dt.datetime
    age_seconds: float
    at_least: bool


def queued_types(ask: Ask, after: int | None = None, at_most: int | None = None) -> list[int]:
    """Types with queued jobs, suspects among them, the first so many by number."""
    values = {"after": after, "at_most": at_most or STEPS_MAX, "suspects_max": LOOKED_MAX}
    return [number for (number,) in _queued_types(ask, **values)]


def oldest_by_type(
    ask: Ask, moment: dt.datetime, event_type_ids: Sequence[int], steps_max: int | None = None
) -> dict[int, Oldest]:
    """For each of these types with queued jobs, suspects among them, the one that waits longest.

    Where there are many types, fewer priorities of each are looked at: `steps_max` of all together, but one of each.
    Where these are not all, the jobs with the lowest ids are looked at too: they are likely to be the oldest.
    """
    each_max = max(1, (steps_max or STEPS_MAX) // max(1, len(event_type_ids)))
    bounds = {"priorities_max": min(PRIORITIES_MAX, each_max), "suspects_max": LOOKED_MAX}
    rows = _by_type(ask, event_type_ids=list(event_type_ids), **bounds)
    found = {number: since(moment, queued_at, at_least) for number, queued_at, at_least in rows}
    if any(each.at_least for each in found.values()):
        for number, queued_at in _of_first(ask, at_most=LOOKED_MAX):
            if number in found and queued_at < found[number].queued_at:
                found[number] = since(moment, queued_at, found[number].at_least)
    return found


def oldest(by_type: dict[int, Oldest]) -> Oldest | None:
    """Of all queued jobs, where all types with such were asked for, as far as `queued_types` looks."""
    if not by_type:
        return None
    longest = min(by_type.values(), key=lambda each: each.queued_at)
    at_least = len(by_type) >= STEPS_MAX or any(each.at_least for each in by_type.values())
    return structs.replace(longest, at_least=at_least)


def since(moment: dt.datetime, queued_at: dt.datetime, at_least: bool) -> Oldest:
    age = max(0.0, (moment - queued_at).total_seconds())
    return Oldest(queued_at=queued_at, age_seconds=age, at_least=at_least)
