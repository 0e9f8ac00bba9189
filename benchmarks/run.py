"""Measures the product beside the plain SQL limit, interleaved, on one embedded Postgres with fsync on.

    make bench                                   # everything, three rounds, about four minutes
    make bench BENCH_ARGS="--what drain --rounds 5 --jobs 200000"

Read the ratios: the rates are those of this machine at this hour. Each figure is the median of the rounds, with the
least and the greatest.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import ingest
import product
import raw
from database import Database

from v7_task_processor import embedded

Measure = Callable[[Database], dict[str, float]]


class Contest(NamedTuple):
    """What is measured, and who takes part; the first is what the others are compared with."""

    unit: str
    better: str
    sides: dict[str, Measure]


def contests(jobs: int, seconds: float) -> dict[str, Contest]:
    return {
        "drain": Contest(
            "jobs/s",
            "more",
            {
                "plain SQL": lambda database: raw.drain(database, jobs),
                "v7, 1 process": lambda database: product.drain(database, jobs, processes=1),
                "v7, 2 processes": lambda database: product.drain(database, jobs, processes=2),
                "v7, 1 process, no history": lambda database: product.drain(database, jobs, 1, retention_days=0),
                "v7, 1 process, def handler": lambda database: product.drain(database, jobs, 1, kind="def"),
            },
        ),
        "latency": Contest("ms from commit to start", "less", {"plain SQL": raw.latency, "v7": product.latency}),
        "ingest": Contest(
            "durable events/s",
            "more",
            {
                "an empty Starlette route": lambda database: ingest.empty_route(database, seconds),
                "v7": lambda database: ingest.events(database, seconds),
            },
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default="drain,latency,ingest", help="which, by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=100_000, help="how many to drain")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long to post, for each number of connections")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder)) as server:
        print(f"Python {platform.python_version()}, PostgreSQL {server.version}, fsync on, {options.rounds} rounds")
        for what in options.what.split(","):
            contest = contests(options.jobs, options.seconds)[what]
            results[what] = measure(server.url, contest, options.rounds)
            print_table(what, contest, results[what])
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def measure(server_url: str, contest: Contest, rounds: int) -> dict[str, dict[str, list[float]]]:
    """{side: {figure: [one for each round]}}"""
    figures: dict[str, dict[str, list[float]]] = {side: {} for side in contest.sides}
    for round_number in range(rounds):
        for side, run in contest.sides.items():
            with Database(server_url) as database:
                for name, value in run(database).items():
                    figures[side].setdefault(name, []).append(value)
            print(f"  round {round_number + 1}: {side}", file=sys.stderr)
    return figures


def print_table(what: str, contest: Contest, figures: dict[str, dict[str, list[float]]]) -> None:
    base = next(iter(figures.values()))
    names = list(base)
    print(f"\n## {what}: {contest.unit} ({contest.better} is better)\n")
    print("| | " + " | ".join(names) + " |\n|" + "---|" * (len(names) + 1))
    for side, values in figures.items():
        print(f"| {side} | " + " | ".join(cell(values[name], base[name]) for name in names) + " |")


def cell(values: list[float], base: list[float]) -> str:
    middle = statistics.median(values)
    digits = 0 if middle >= 100 else 2
    text = f"{middle:,.{digits}f} ({min(values):,.{digits}f}..{max(values):,.{digits}f})"
    return text if values is base else f"{text} x{middle / statistics.median(base):.2f}"


if __name__ == "__main__":
    main()
