"""What Postgres does not let a worker claim, and is passed over for a while. Pure."""

from collections.abc import Iterable

from ..maintenance import REFUSED_MAX, REFUSED_SECONDS
from ..queue import Unclaimable


class PassedOver:
    """Positions of jobs, each until it is tried again: whoever hinders it may have been put right.

    One that gets another position meanwhile, by a hand, is tried at once. Times are seconds of one clock.
    """

    def __init__(self) -> None:
        self.until: dict[int, float] = {}

    def at(self, now: float) -> list[int]:
        """What claims pass over now."""
        while self.until and (first := next(iter(self.until.items())))[1] <= now:
            del self.until[first[0]]
        return list(self.until)

    def add(self, found: Iterable[Unclaimable], now: float) -> list[Unclaimable]:
        """Those of them for which there was room: a list without end would make each claim slower and slower."""
        added = []
        for each in found:
            if len(self.until) < REFUSED_MAX:
                self.until[each.position] = now + REFUSED_SECONDS
                added.append(each)
        return added
