"""The curves of the overview: as data for uPlot, and as an SVG for those without JavaScript."""

import itertools
from collections.abc import Sequence

import msgspec

from ...listing import Minute

WIDTH, HEIGHT = 720, 160
SERIES = ("received", "succeeded", "failed")
STEP_MINUTES = 10
"""Of more than an hour: a point for each minute of a day would be most of the page."""


class Chart:
    """Counts per minute over some hours, the oldest first."""

    def __init__(self, minutes: Sequence[Minute], hours: int = 1) -> None:
        self.minutes, self.hours = minutes, hours
        step = 60 * (1 if hours == 1 else STEP_MINUTES)
        grouped = itertools.groupby(minutes, lambda each: int(each.minute.timestamp()) // step)
        self.points = [(number * step, list(each)) for number, each in grouped]

    def data(self) -> str:
        """For uPlot: the times, then each series."""
        times = [time for time, _ in self.points]
        return msgspec.json.encode([times, *(self.counts(name) for name in SERIES)]).decode()

    def counts(self, name: str) -> list[float]:
        """Per minute, at each point."""
        return [round(sum(getattr(each, name) for each in group) / len(group), 1) for _, group in self.points]

    def most(self) -> float:
        return max((max(self.counts(name), default=0) for name in SERIES), default=0)

    def lines(self) -> list[tuple[str, str]]:
        """Each series as the points of a polyline."""
        across, most = WIDTH / max(1, len(self.points) - 1), max(1, self.most())
        return [
            (
                name,
                " ".join(
                    f"{n * across:.1f},{HEIGHT - count * HEIGHT / most:.1f}"
                    for n, count in enumerate(self.counts(name))
                ),
            )
            for name in SERIES
        ]

    def lately(self, name: str) -> int:
        """In the last minute that is over."""
        return int(getattr(self.minutes[-1], name)) if self.minutes else 0

    def said(self) -> str:
        """The sums, for those who do not see curves."""
        sums = ", ".join(f"{sum(getattr(each, name) for each in self.minutes):,} {name}" for name in SERIES)
        return f"In the last {'hour' if self.hours == 1 else f'{self.hours} hours'}: {sums}."
