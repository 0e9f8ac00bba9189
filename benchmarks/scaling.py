"""Worker nodes beside each other, each as far from Postgres as another machine: one process, one namespace of the
network, and a delay on its cable (needs root, and the package iproute2).

    python benchmarks/scaling.py --nodes 1,2,4,8 --milliseconds 0,1 --jobs 20000 --handler-milliseconds 0,20

A cable that delays is one that tc's netem makes; where the kernel has none, a relay in a process of its own holds each
piece that long, in both directions. Read the shape of the curve: all nodes share the cores of this machine, and the
database's are among them.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from database import Database
from node import command, environment
from product import queue

from v7_task_processor import database as schema
from v7_task_processor import embedded

HANDLERS = """
import asyncio
from v7_task_processor import handler

@handler()
async def handle(job):
    if {seconds}:
        await asyncio.sleep({seconds})
"""
STARTED = "select count(*) from v7.workers where node_id is not null"
LEFT = "select exists (select from v7.jobs)"
SPAN = """select extract(epoch from max(finished_at) - min(claimed_at))::float8, count(*), count(distinct worker_id)
from v7.finished_jobs"""


def run(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def cables(count: int, milliseconds: float) -> Iterator[list[str]]:
    """Namespaces, each with a cable to here that takes so long there and back; their names."""
    names = [f"v7s{secrets.token_hex(3)}" for _ in range(count)]
    try:
        for number, name in enumerate(names):
            here, there = f"198.18.{200 + number}.1", f"198.18.{200 + number}.2"
            for line in (
                f"ip netns add {name}",
                f"ip link add {name}a type veth peer name {name}b netns {name}",
                f"ip address add {here}/30 dev {name}a",
                f"ip link set {name}a up",
                f"ip -n {name} address add {there}/30 dev {name}b",
                f"ip -n {name} link set {name}b up",
                f"ip -n {name} link set lo up",
            ):
                if not run(*line.split()):
                    raise SystemExit(f"Cannot make a network namespace (as root, with iproute2): {line}")
            for end in (f"tc qdisc add dev {name}a", f"ip netns exec {name} tc qdisc add dev {name}b"):
                if milliseconds and not run(*end.split(), "root", "netem", "delay", f"{milliseconds / 2}ms"):
                    raise LookupError("this kernel has no netem")
        yield names
    finally:
        for name in names:
            run("ip", "netns", "del", name)
            run("ip", "link", "del", f"{name}a")


@contextlib.contextmanager
def ways(count: int, milliseconds: float, sockets: str) -> Iterator[list[tuple[list[str], str, int]]]:
    """For each node the command to begin with, and the host and port of Postgres as it sees it."""
    with contextlib.ExitStack() as stack:
        delayed_by_relay = 0.0
        try:
            names = stack.enter_context(cables(count, milliseconds))
        except LookupError:
            names, delayed_by_relay = stack.enter_context(cables(count, 0)), milliseconds
        port = 25432
        hosts = [f"198.18.{200 + number}.1" for number in range(count)]
        relay = [sys.executable, __file__, "--relay", f"{sockets},{port},{delayed_by_relay},{'+'.join(hosts)}"]
        process = subprocess.Popen(relay, stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it listens
            yield [(["ip", "netns", "exec", name], host, port) for name, host in zip(names, hosts, strict=True)]
        finally:
            process.kill()
            process.wait()


async def relayed(sockets: str, port: int, milliseconds: float, hosts: list[str]) -> None:
    """The embedded Postgres listens on a socket only: this is its other end of each cable."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while (piece := await held.get())[1]:
                await asyncio.sleep(piece[0] - time.monotonic())
                writer.write(piece[1])
            writer.close()

        sending = asyncio.create_task(send())
        data = b"x"
        while data:
            data = await reader.read(1 << 18)
            held.put_nowait((time.monotonic() + milliseconds / 2000, data))
        await sending

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(f"{sockets}/.s.PGSQL.5432")
        await asyncio.gather(pass_on(reader, server_writer), pass_on(server_reader, writer), return_exceptions=True)

    servers = [await asyncio.start_server(serve, host, port) for host in hosts]
    print("listening", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def drained(database: Database, count: int, milliseconds: float, jobs: int, seconds: float) -> tuple[float, int]:
    """Jobs a second over all nodes, and how many workers had a part in it."""
    schema.migrate(database.url)
    database.connection.execute(
        "insert into v7.event_types (event_type_id, paused_at, paused_by) values (1, now(), 'us')"
    )
    queue(database, jobs)
    database.settle()
    nodes: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        for begin, host, port in stack.enter_context(ways(count, milliseconds, database.parts["host"])):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (folder / "handlers.py").write_text(HANDLERS.format(seconds=seconds))
            url = f"postgresql://{database.parts['user']}@{host}:{port}/{database.name}?sslmode=disable&connect_timeout=20"
            given = environment(database, folder, V7_HANDLERS="handlers.py", V7_WORKER_PROCESSES=1, DATABASE_URL=url)
            process = subprocess.Popen([*begin, *command("worker")], cwd=folder, env=given, stderr=subprocess.DEVNULL)
            nodes.append(process)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        while database.value(STARTED) < count:
            if any(each.poll() is not None for each in nodes):
                raise SystemExit("A node did not start.")
            time.sleep(0.1)
        time.sleep(1.5)  # each has looked at what is paused by then
        database.connection.execute("update v7.event_types set paused_at = null, paused_by = null; notify v7, 'types'")
        while database.value(LEFT):
            time.sleep(0.1)
    row = database.connection.execute(SPAN).fetchone()
    assert row is not None
    took, done, workers = row
    assert done == jobs, f"{done} of {jobs}"
    return jobs / took, workers


def numbers(text: str) -> list[float]:
    return [float(each) for each in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=numbers, default=[1.0, 2.0, 4.0, 8.0])
    parser.add_argument("--milliseconds", type=numbers, default=[0.0, 1.0], help="there and back")
    parser.add_argument("--handler-milliseconds", type=numbers, default=[0.0, 20.0], help="what a handler waits")
    parser.add_argument("--jobs", type=int, default=20_000, help="without a wait; a node does a tenth of it with one")
    parser.add_argument("--relay", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.relay:
        sockets, port, milliseconds, hosts = given.relay.split(",")
        asyncio.run(relayed(sockets, int(port), float(milliseconds), hosts.split("+")))
        return
    with tempfile.TemporaryDirectory() as folder, embedded.start(Path(folder)) as server:
        print(f"PostgreSQL {server.version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        for wait in given.handler_milliseconds:
            for away in given.milliseconds:
                for count in map(int, given.nodes):
                    jobs = int(given.jobs / 10) * count if wait else given.jobs
                    with Database(server.url) as database:
                        rate, workers = drained(database, count, away, jobs, wait / 1000)
                    print(
                        f"handlers wait {wait:g} ms, Postgres {away:g} ms away, {count} nodes ({workers} took part): "
                        f"{rate:,.0f} jobs/s, load {os.getloadavg()[0]:.1f}",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
