"""Since when jobs wait."""

import datetime as dt

import msgspec

from .look import Ask, Look

PRIORITIES_MAX = 100
"""So many priorities of a type are looked at for its oldest job."""
STEPS_MAX = 10_000
LOOKED_MAX = 10_000
"""So many suspects are looked at, and so many of the jobs with the lowest ids."""

_by_type = Look("oldest_by_type")
_suspects = Look("oldest_suspects")
_of_first = Look("oldest_of_first")


class Oldest(msgspec.Struct, frozen=True, kw_only=True):
    """Since when the queued job that waits longest has waited; `at_least`: one that waits longer may exist."""

    queued_at: dt.datetime
    age_seconds: float
    at_least: bool


def waiting_by_type(
    ask: Ask, moment: dt.datetime, after: int | None = None, steps_max: int | None = None
) -> dict[int, Oldest]:
    """For each type with queued jobs, suspects among them, the one that waits longest.

    Over PRIORITIES_MAX of a type, and `steps_max` in all.
    """
    bounds = {"priorities_max": PRIORITIES_MAX, "steps_max": steps_max or STEPS_MAX}
    found = {
        number: since(moment, queued_at, at_least)
        for number, queued_at, at_least in _by_type(ask, after=after, **bounds)
    }
    for number, queued_at in _suspects(ask, after=after, at_most=LOOKED_MAX):
        known = found.get(number)
        if known is None or queued_at < known.queued_at:
            found[number] = since(moment, queued_at, known is not None and known.at_least)
    return dict(sorted(found.items()))


def oldest(ask: Ask, moment: dt.datetime, by_type: dict[int, Oldest]) -> Oldest | None:
    """Of all queued jobs. Where not all priorities were looked at, the lowest ids are likely to be the oldest."""
    if not by_type:
        return None
    at_least = any(each.at_least for each in by_type.values())
    times = [each.queued_at for each in by_type.values()]
    if at_least:
        ((found,),) = _of_first(ask, at_most=LOOKED_MAX)
        times += [] if found is None else [found]
    return since(moment, min(times), at_least)


def since(moment: dt.datetime, queued_at: dt.datetime, at_least: bool) -> Oldest:
    age = max(0.0, (moment - queued_at).total_seconds())
    return Oldest(queued_at=queued_at, age_seconds=age, at_least=at_least)
