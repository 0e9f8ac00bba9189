"""What is measured, and how it is told: sides in turn, each in a fresh database, and a table of medians."""

import contextlib
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from database import Database

Measure = Callable[[Database], dict[str, float]]
Fill = Callable[[Database], None]
Results = dict[str, dict[str, list[float]]]
"""{side: {figure: [one for each round]}}"""


COLUMNS_MAX = 10
"""What has only one side, and more figures than that, is told a line for each."""


class Sizes(NamedTuple):
    """How much to do. `scale` is applied to what is large: 0.01 for a quick look, 1 for what is claimed."""

    jobs: int
    seconds: float
    scale: float

    def scaled(self, number: int) -> int:
        return max(1, int(number * self.scale))


class Filled(NamedTuple):
    """A side that begins with much in its database: filled once, and copied for each round."""

    fill: Fill
    measure: Measure


class Contest(NamedTuple):
    """What is measured, and who takes part. Others are compared with the `bases`: the first side, or those named."""

    unit: str
    better: str
    sides: Mapping[str, Measure | Filled]
    bases: tuple[str, ...] | None = None

    def compared_with(self) -> list[str]:
        """The bases that take part."""
        return [side for side in (list(self.sides)[:1] if self.bases is None else self.bases) if side in self.sides]


def hold(server_url: str, contest: Contest, rounds: int) -> Results:
    """Each side in each round: A B C A B C, so that what else the machine does falls on all of them."""
    results: Results = {side: {} for side in contest.sides}
    with contextlib.ExitStack() as templates:
        databases: dict[str, str | None] = {}
        for name, side in contest.sides.items():
            databases[name] = None
            if isinstance(side, Filled):
                template = templates.enter_context(Database(server_url))
                side.fill(template)
                template.settle()
                template.connection.close()
                databases[name] = template.name
                print(f"  filled: {name}", file=sys.stderr)
        for round_number in range(rounds):
            for name, side in contest.sides.items():
                with Database(server_url, copy_of=databases[name]) as database:
                    figures = (side.measure if isinstance(side, Filled) else side)(database)
                for figure, value in figures.items():
                    results[name].setdefault(figure, []).append(value)
                told = ", ".join(f"{figure} {number(value)}" for figure, value in figures.items())
                print(f"  round {round_number + 1}: {name}: {told}", file=sys.stderr)
    return results


def print_table(what: str, contest: Contest, results: Results) -> None:
    """Median (least..greatest), and the ratios to the bases, in their order."""
    columns = list(dict.fromkeys(figure for figures in results.values() for figure in figures))
    bases = contest.compared_with()
    print(f"\n## {what}: {contest.unit} ({contest.better} is better)\n")
    if len(results) == 1 and len(columns) > COLUMNS_MAX:
        print("| | |\n|---|---|")
        print(
            "".join(f"| {column} | {cell(values, [])} |\n" for column, values in next(iter(results.values())).items())
        )
        return
    print(f"| {'x: ratio to ' + ', to '.join(bases) if bases else ''} | {' | '.join(columns)} |")
    print("|" + "---|" * (len(columns) + 1))
    for side, figures in results.items():
        cells = [cell(figures.get(column), [results[base].get(column) for base in bases]) for column in columns]
        print(f"| {side} | " + " | ".join(cells) + " |")
    print(flush=True)


def cell(values: list[float] | None, bases: list[list[float] | None]) -> str:
    if not values:
        return ""
    text = number(statistics.median(values))
    if len(values) > 1:
        text += f" ({number(min(values))}..{number(max(values))})"
    for base in bases:
        if base and (divisor := statistics.median(base)):
            text += f" x{statistics.median(values) / divisor:.2f}"
    return text


def number(value: float) -> str:
    return f"{value:,.{0 if value >= 100 or value == int(value) else 2}f}"
