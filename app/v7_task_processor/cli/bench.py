"""`v7 bench`: the measurements, which live in the repository."""

import importlib.util
import os
import sys
from pathlib import Path

import click

from ..errors import V7Error
from .options import examples

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "run.py"


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=examples("v7 bench", "v7 bench --what drain --rounds 1", "v7 bench --what latency,ingest"),
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure drain, ingest and latency against the limit of plain SQL. Arguments are passed on."""
    if not SCRIPT.is_file():
        raise V7Error("The benchmarks are not installed with the program: run `make bench` in a checkout of it.")
    if importlib.util.find_spec("asyncpg") is None:
        raise V7Error("The benchmarks need what the tests need: run `make bench`, which installs it.")
    os.execv(sys.executable, [sys.executable, str(SCRIPT), *arguments])  # noqa: S606 (no shell is meant)
