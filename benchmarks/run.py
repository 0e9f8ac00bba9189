"""Measures the product beside the plain SQL limit and its peers, interleaved, on one embedded Postgres with fsync on.

    make bench                                   # drain, latency, ingest; three rounds, under five minutes
    make bench BENCH_ARGS="--what drain --rounds 5 --jobs 200000"
    make bench BENCH_ARGS="--what burdens --scale 0.01 --rounds 1"    # a quick look at all burdens
    make bench BENCH_ARGS="--what burdens.paused,growth,memory,start"
    make bench-peers                             # installs the peers in .bench/, and measures them

Read the ratios: the rates are those of this machine at this hour. Each figure is the median of the rounds, with the
least and the greatest.
"""

import argparse
import json
import platform
import tempfile
from functools import partial
from pathlib import Path

import burdens
import days
import growth
import ingest
import looks
import memory
import peer
import pooled
import product
import raw
import redrive
import start
import steady
from contest import Contest, Filled, Measure, Results, Sizes, hold, print_table
from product import UNTOLD, migrated

from v7_task_processor import embedded

DEFAULT = "drain,latency,ingest"


def contests(sizes: Sizes) -> dict[str, Contest]:
    """All that can be measured. A name with a dot is one of a group, which is asked for by what stands before it."""
    return {
        "drain": Contest(
            "jobs/s",
            "more",
            {
                "plain SQL": partial(raw.drain, jobs=sizes.jobs),
                "v7, 1 process": partial(product.drain, jobs=sizes.jobs, processes=1),
                "v7, 2 processes": partial(product.drain, jobs=sizes.jobs, processes=2),
                "v7, 1 process, no history": partial(product.drain, jobs=sizes.jobs, processes=1, retention_days=0),
                "v7, 1 process, def handler": partial(product.drain, jobs=sizes.jobs, processes=1, kind="def"),
            },
        ),
        "latency": Contest(
            "ms from commit to start",
            "less",
            {"plain SQL": raw.latency, "v7": product.latency},
        ),
        "polling": Contest(
            "ms from commit to start, no NOTIFY heard", "less", {"v7": partial(product.latency, insert=UNTOLD)}, ()
        ),
        "ingest": Contest(
            "durable events/s",
            "more",
            {
                "an empty Starlette route": lambda database: ingest.empty_route(database, sizes.seconds),
                "v7": lambda database: ingest.events(database, sizes.seconds),
            },
        ),
        "enqueue": Contest("events/s by SQL", "more", {"plain SQL": raw.enqueues, "v7": migrated(product.enqueues)}),
        **beside_peers(sizes),
        **burdens.contests(sizes),
        **growth.contests(sizes),
        **looks.contests(sizes),
        **memory.contests(sizes),
        **redrive.contests(sizes),
        **pooled.contests(sizes.jobs),
        **start.contests(),
        **steady.contests(sizes),
        **days.contests(sizes),
    }


def beside_peers(sizes: Sizes) -> dict[str, Contest]:
    """The product between plain SQL and what else one would pick."""
    drains: dict[str, Measure | Filled] = {
        "plain SQL": partial(raw.drain, jobs=sizes.jobs),
        "plain SQL, 2 processes": partial(raw.drain, jobs=sizes.jobs, processes=2),
        "plain SQL by psycopg": partial(raw.drain, jobs=sizes.jobs, by_psycopg=True),
        "v7": partial(product.drain, jobs=sizes.jobs, processes=1),
        "v7, 2 processes": partial(product.drain, jobs=sizes.jobs, processes=2),
        "v7, no history": partial(product.drain, jobs=sizes.jobs, processes=1, retention_days=0),
    }
    latencies: dict[str, Measure | Filled] = {"plain SQL": raw.latency, "v7": product.latency}
    enqueues: dict[str, Measure | Filled] = {"plain SQL": raw.enqueues, "v7": migrated(product.enqueues)}
    for name in peer.PEERS:
        drains[name] = partial(peer.drain, name=name, jobs=sizes.jobs)
        drains[f"{name}, 2 processes"] = partial(peer.drain, name=name, jobs=sizes.jobs, processes=2)
        latencies[name] = partial(peer.latency, name=name)
        enqueues[name] = partial(peer.enqueues, name=name)
    bases = ("plain SQL", "graphile-worker")
    return {
        "peers.drain": Contest("jobs/s", "more", drains, bases),
        "peers.latency": Contest("ms from commit to start", "less", latencies, bases),
        "peers.enqueue": Contest("events/s", "more", enqueues, bases),
    }


def chosen(what: str, offered: dict[str, Contest]) -> dict[str, Contest]:
    """Those that are named, by commas, each by itself or by its group."""
    found: dict[str, Contest] = {}
    for word in what.split(","):
        matches = {name: each for name, each in offered.items() if word in (name, name.partition(".")[0])}
        if not matches:
            raise SystemExit(f"There is no contest {word}: there are {', '.join(offered)}.")
        found |= matches
    if any(name.startswith("peers.") for name in found) and not peer.INSTALLED.exists():
        raise SystemExit("The peers are not installed: run `make bench-peers`.")
    if "days" in found and days.LIBRARY is None:
        raise SystemExit("There is no libfaketime here (Debian and Ubuntu: apt-get install faketime).")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default=DEFAULT, help="which, by commas: " + ", ".join(contests(Sizes(1, 1, 1))))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=100_000, help="how many to drain")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long to post, for each number of connections")
    parser.add_argument("--scale", type=float, default=1.0, help="of what is large; 0.01: a hundredth")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    wanted = chosen(options.what, contests(Sizes(options.jobs, options.seconds, options.scale)))
    results: dict[str, Results] = {}
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder)) as server:
        print(f"Python {platform.python_version()}, PostgreSQL {server.version}, fsync on, {options.rounds} rounds")
        for what, contest in wanted.items():
            results[what] = hold(server.url, contest, options.rounds)
            print_table(what, contest, results[what])
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
