"""How fast a worker's handlers take jobs, so that it claims as many as will start soon, and no more."""

BUSY_SECONDS_MIN = 0.005


class Pace:
    """Attempts a second that the handlers would start if they never had to wait for a claim. Pure.

    The time in which a handler was free and nothing was there to start does not count: it tells how fast claims are,
    and a pace that is measured with it keeps the claims small, and so slow, for ever. Times are seconds of one clock.
    """

    def __init__(self) -> None:
        self.rate = 0.0
        self.started = 0
        self.measured_at = 0.0
        self.starving_since: float | None = None
        self.starved_seconds = 0.0

    def starve(self, now: float) -> None:
        """A handler is free, and nothing is there to start."""
        if self.starving_since is None:
            self.starving_since = now

    def fed(self, now: float) -> None:
        """There is something to start again."""
        if self.starving_since is not None:
            self.starved_seconds += now - self.starving_since
            self.starving_since = None

    def measure(self, now: float) -> None:
        """Learn from what was started since the last call."""
        starving = self.starving_since is not None
        if starving:
            self.fed(now)
        busy = max(BUSY_SECONDS_MIN, now - self.measured_at - self.starved_seconds)
        if self.started:
            self.rate = (self.rate + self.started / busy) / 2
        self.measured_at, self.started, self.starved_seconds = now, 0, 0.0
        if starving:
            self.starve(now)
