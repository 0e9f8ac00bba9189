"""Faults at random under load, for so long, and the ledger at the end: `make soak SECONDS=600 SEED=7`.

The same seed makes the same schedule of faults and the same events; what the machine does between is its own.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .cluster import cluster_from, make_template
from .lab import Lab, rare_errors
from .load import WILD
from .nemesis import Nemesis

RARE = 0.001
A_SECOND = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("seconds", type=float, help="how long there are faults")
    parser.add_argument("seed", type=int, help="decides which, and what events are sent")
    parser.add_argument("--rare", type=float, default=RARE, help="chance of an error in each statement (%(default)g)")
    parser.add_argument("--pause", type=float, default=8.0, help="seconds between two faults, about (%(default)g)")
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix=f"v7-soak-{given.seed}-"))
    print(f"soak of {given.seconds:g} s with seed {given.seed}; its records are in {folder}", flush=True)
    (folder / "template").mkdir()
    template = make_template(folder / "template")
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(cluster_from(template, folder / "cluster"))
        rare = rare_errors(given.rare, given.seed) if given.rare else {}
        lab = stack.enter_context(Lab(folder / "lab", cluster, given.seed, rare))
        lab.add("api", "api", V7_API_PROCESSES=2)
        lab.add("a", V7_WORKER_PROCESSES=2)
        lab.add("b")
        lab.ready()
        clients = lab.send(WILD, a_second=A_SECOND)
        nemesis = Nemesis(lab, given.seed, lambda line: say(f"{line}  {dict(clients.answers)}"))
        nemesis.run(given.seconds, given.pause)
        say("no more faults; waiting until all is handled")
        lab.settle()
        say(f"{nemesis.done.total()} faults: {dict(nemesis.done)}")
        found = lab.report()
        print(found)
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
