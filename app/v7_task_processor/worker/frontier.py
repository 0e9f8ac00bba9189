"""Where the next claim looks. Pure: what it is told decides.

The frontier is the last row that was taken; the horizon is where the position sequence stood a moment before.
Claims that start from them never walk over the dead entries at the head of the index again. Whatever they miss (a
row that was released, or whose transaction took long) the next plain claim finds, so correctness does not depend
on them. sql/claim.sql has the statement.
"""

from collections import deque
from collections.abc import Iterable

from ..job import Job
from ..queue import BEGINNING, FIRST, LAST, Claim, Frontier

LAG_SECONDS = 0.1
"""A transaction that commits within this of drawing its position is never missed."""
PLAIN_SHARE = 20
"""Plain claims take at most one part in so many of the time."""
PLAIN_SECONDS_MAX = 30.0
"""What commits late, or was put back by others in silence, is found within this and one claim. In a healthy queue a
plain claim takes milliseconds and is made several times a second; behind ten million jobs of a paused type, seconds."""


class Cursor:
    """One worker's frontier. Times are seconds of one clock, any."""

    def __init__(self) -> None:
        self.frontier = BEGINNING
        self.plain_at = 0.0
        self.everywhere = False
        self.back: tuple[int, int] | None = None
        """The best of what was put back since the last claim began, if anything: priority, position before it."""
        self.sequence: deque[tuple[float, int]] = deque()

    def begin(self, now: float, last_position: int) -> None:
        """Where the sequence stood before the first claim."""
        self.sequence.append((now, last_position))

    def next(self, now: float) -> Frontier:
        """Where the claim that begins now looks."""
        if self.everywhere:
            self.everywhere, self.plain_at = False, 0.0
        back, self.back = self.back, None
        if now >= self.plain_at:
            return BEGINNING
        if back is not None and back < self.frontier[:2]:
            self.frontier = self.frontier._replace(priority=back[0], position=back[1])
        return self.frontier

    def look_everywhere(self) -> None:
        """Let the next claim be a plain one: types were opened, or others put something back."""
        self.everywhere = True

    def look_back(self, jobs: Iterable[Job]) -> None:
        """Let the next claim look where these stand again. It walks over what stands behind them, and no more: a
        plain claim may walk over a million jobs of a paused type for it."""
        for job in jobs:
            place = job.priority, job._position - 1
            self.back = place if self.back is None else min(self.back, place)

    def took(self, looked: Frontier, claim: Claim, began: float, ended: float) -> None:
        """Go on from what a claim, which looked from `looked`, took."""
        if looked == BEGINNING:
            duration = ended - began
            self.plain_at = ended + min(PLAIN_SHARE * duration, PLAIN_SECONDS_MAX)
        better = sum(job.priority < looked.priority for job in claim.jobs)
        priority, position = looked.priority, looked.position
        if not claim.more:
            priority, position = LAST, LAST
        elif better < len(claim.jobs):
            priority, position = claim.jobs[-1].priority, claim.jobs[-1]._position
        # Where better rows filled the whole claim there may be more of them behind the same horizon.
        horizon = (
            looked.horizon if claim.more and better == len(claim.jobs) else max(looked.horizon, self.lagging(began))
        )
        if looked == BEGINNING and ended - began > LAG_SECONDS and self.sequence:
            # It took so long (behind a million jobs of a paused type) that to look at everything again, until the lag
            # has passed, would cost more than what commits just now: a later plain claim finds that.
            horizon = max(horizon, self.sequence[0][1])
        self.frontier = Frontier(priority, position, horizon)
        self.sequence.append((ended, claim.last_position))

    def lagging(self, now: float) -> int:
        """Where the sequence stood LAG_SECONDS ago, or a little before."""
        while len(self.sequence) > 1 and self.sequence[1][0] <= now - LAG_SECONDS:
            self.sequence.popleft()
        if self.sequence and self.sequence[0][0] <= now - LAG_SECONDS:
            return self.sequence[0][1]
        return FIRST
