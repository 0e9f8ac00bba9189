"""The curves of the overview: as data for uPlot, and as an SVG for those without JavaScript."""

from collections.abc import Sequence

import msgspec

from ...listing import Minute

WIDTH, HEIGHT = 720, 160
SERIES = ("received", "succeeded", "failed")


class Chart:
    """Counts per minute, the oldest first."""

    def __init__(self, minutes: Sequence[Minute]) -> None:
        self.minutes = minutes

    def data(self) -> str:
        """For uPlot: the times, then each series."""
        times = [int(each.minute.timestamp()) for each in self.minutes]
        return msgspec.json.encode([times, *(self.counts(name) for name in SERIES)]).decode()

    def counts(self, name: str) -> list[int]:
        return [getattr(each, name) for each in self.minutes]

    def most(self) -> int:
        return max((max(self.counts(name), default=0) for name in SERIES), default=0)

    def lines(self) -> list[tuple[str, str]]:
        """Each series as the points of a polyline."""
        across, most = WIDTH / max(1, len(self.minutes) - 1), max(1, self.most())
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
        return self.counts(name)[-1] if self.minutes else 0

    def said(self) -> str:
        """The sums, for those who do not see curves."""
        sums = ", ".join(f"{sum(self.counts(name)):,} {name}" for name in SERIES)
        return f"In the last hour: {sums}."
