"""How fast jobs end."""

import datetime as dt

import msgspec

from ..job import FINISHED
from .look import Ask, Look

ENDED_MAX = 100_000

_ended = Look("ended")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in the last `seconds`. Those in `capped` are floors, of the newest part of that time."""

    seconds: int
    succeeded: int
    cancelled: int
    failed_attempts: int
    succeeded_per_second: float
    capped: list[str]


def ended(ask: Ask, moment: dt.datetime, seconds: int) -> Ended:
    """What ended lately, by the newest ENDED_MAX rows of each table."""
    begin = moment - dt.timedelta(seconds=seconds)
    ((count, succeeded, earliest, failed),) = _ended(ask, begin=begin, at_most=ENDED_MAX)
    capped = [*(FINISHED if count == ENDED_MAX else ()), *(["failed_attempts"] if failed == ENDED_MAX else ())]
    span = float(seconds) if count < ENDED_MAX else max(0.001, (moment - earliest).total_seconds())
    return Ended(
        seconds=seconds,
        succeeded=succeeded,
        cancelled=count - succeeded,
        failed_attempts=failed,
        succeeded_per_second=round(succeeded / span, 1),
        capped=capped,
    )
