"""A whole deployment that may be broken: a Postgres, proxies before it, nodes, clients, and the ledger's records."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from ..nodes import Node, check_log, wait_until
from .cluster import Cluster, free_port
from .ledger import Ledger, Report, install, report
from .load import CALM, HANDLERS, Clients, Notes
from .proxy import Proxy

ORPHANS_SECONDS = 1.0
BY_SQL = 10**12
"""Above the numbers of what clients send."""
SETTLED = """
select count(*) from v7.jobs
where status in ('queued', 'running') or (status = 'scheduled' and run_at < now() + interval '1 day')
"""
ORPHANS = """
select coalesce(array_agg(job.id), '{}') from v7.jobs job left join v7.workers worker on worker.id = job.worker_id
left join v7.workers node on node.id = worker.node_id
where job.status = 'running' and (node.id is null or node.heartbeat_at < now() - interval '15 s')
"""
SETTINGS = {
    "V7_MAX_RETRIES": 4,
    "V7_RETRY_SECONDS": 0.2,
    "V7_SHUTDOWN_SECONDS": 3,
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "json",
}


@dataclass
class Place:
    """A node of the lab, and the proxy through which it reaches the database."""

    name: str
    command: str
    node: Node
    proxy: Proxy
    pids: set[int] = field(default_factory=set)

    @property
    def processes(self) -> int:
        """How many it has while nobody is a suspect."""
        kinds = {"worker": ["WORKER"], "api": ["API"], "run": ["WORKER", "API"]}[self.command]
        return 1 + sum(int(self.node.environment.get(f"V7_{kind}_PROCESSES", 1)) for kind in kinds)

    def notice(self) -> None:
        """Remember its processes: who was hit is asked when they are gone."""
        self.pids |= {each.pid for each in self.node.tree()}


class Lab:
    """Everything of one run, in one folder. `environment` goes to all of its processes."""

    def __init__(
        self, folder: Path, cluster: Cluster, seed: int, environment: dict[str, str] | None = None, **settings: object
    ) -> None:
        self.folder, self.cluster, self.seed = folder, cluster, seed
        folder.mkdir(exist_ok=True)
        self.settings = {**SETTINGS, **settings}
        self.environment = environment or {}
        self.places: dict[str, Place] = {}
        self.sent, self.faults = Notes(folder / "clients.jsonl"), Notes(folder / "faults.jsonl")
        self.orphans = Notes(folder / "orphans.jsonl")
        self.clients: Clients | None = None
        self.ended = threading.Event()
        self.count = 0
        self.watcher = threading.Thread(target=self.watch)

    def __enter__(self) -> Self:
        install(self.cluster.socket_url)
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        if self.clients is not None:
            self.clients.stop()
        for place in self.places.values():
            place.node.kill_tree()
            place.proxy.close()
        self.watcher.join()
        for notes in (self.sent, self.faults, self.orphans):
            notes.close()

    def add(self, name: str, command: str = "worker", handlers: str = HANDLERS, **settings: object) -> Place:
        """A node, started."""
        folder = self.folder / name
        proxy = Proxy(self.cluster.url)
        given = {**self.settings, "PORT": free_port(), **settings}
        node = Node(folder, proxy.through(), "", **given)
        node.environment |= self.environment
        (folder / "handlers.py").write_text(handlers.format(log=str(self.folder / f"handled-{name}.jsonl")))
        place = Place(name, command, node, proxy)
        self.places[name] = place
        node.start(command)
        return place

    def ready(self) -> "Lab":
        """Until every API answers and every worker is registered."""
        for place in self.places.values():
            if place.command in ("api", "run"):
                place.node.address()
            if place.command in ("worker", "run"):
                wait_until(place.node.workers, f"{place.name} has workers")
            place.notice()
        workers = sum(place.command in ("worker", "run") for place in self.places.values())
        registered = "select count(distinct node_id) from v7.workers where node_id is not null"
        wait_until(lambda: self.cluster.sql(registered)[0][0] >= workers, "its workers are registered")
        return self

    def send(self, mix: Mapping[str, float] = CALM, count: int = 8, a_second: float = 200.0) -> Clients:
        """Clients of all its APIs."""
        addresses = [
            ("127.0.0.1", int(place.node.environment["PORT"]))
            for place in self.places.values()
            if place.command in ("api", "run")
        ]
        self.clients = Clients(addresses, self.sent, self.seed, mix).start(count, a_second)
        return self.clients

    def enqueue(
        self, do: str, count: int = 1, *, seconds: float = 0.0, priority: int = 5, event_type_id: int = 1
    ) -> list[int]:
        """Events by SQL, with a client's records; their ids."""
        with psycopg.connect(self.cluster.socket_url, autocommit=True) as connection:
            return [self.enqueue_one(connection, do, seconds, priority, event_type_id) for _ in range(count)]

    def enqueue_one(
        self, connection: psycopg.Connection[Any], do: str, seconds: float, priority: int, event_type_id: int
    ) -> int:
        self.count += 1
        n = BY_SQL + self.count
        text = json.dumps({"n": n, "do": do, "seconds": seconds, "times": 1})
        sha = hashlib.sha256(text.encode()).hexdigest()
        now = time.monotonic()
        self.sent.write(what="sent", n=n, key=None, type=event_type_id, priority=priority, sha=sha, do=do, mono=now)
        row = connection.execute("select v7.enqueue(%s, %s, %s, %s)", [event_type_id, n, priority, text]).fetchone()
        assert row is not None
        self.sent.write(what="done", n=n, status=200, id=row[0], mono=time.monotonic())
        return int(row[0])

    def fault(self, fault: str, target: str = "", pids: list[int] | None = None, begin: float = 0.0) -> None:
        """Note a fault that has ended; call it with the time at which it began."""
        now = time.monotonic()
        node = target if target in self.places else None
        self.faults.write(fault=fault, target=target, pids=pids or [], begin=begin or now, end=now, node=node)

    def watch(self) -> None:
        """Once a second: what runs under nobody."""
        while not self.ended.wait(ORPHANS_SECONDS):
            try:
                with psycopg.connect(self.cluster.socket_url, connect_timeout=2) as connection:
                    row = connection.execute(ORPHANS).fetchone()
            except psycopg.Error:
                continue
            assert row is not None
            self.orphans.write(mono=time.monotonic(), ids=row[0])

    def settle(self, seconds: float = 240.0) -> None:
        """Stop the clients, and wait until everything is done that will ever be. No cause of trouble floods a log."""
        assert self.settles(seconds), f"after {seconds:g} s not everything is handled"
        for place in self.places.values():
            check_log(place.node, place.processes)

    def settles(self, seconds: float) -> bool:
        """The same; whether it came to that."""
        if self.clients is not None:
            self.clients.stop()
            self.clients = None
        return until(lambda: self.cluster.sql(SETTLED) == [(0,)], seconds)

    def report(self) -> Report:
        """What the ledger says of it all."""
        return report(Ledger.load(self.folder, self.cluster.socket_url))

    def processes(self, name: str, which: str) -> list[psutil.Process]:
        """Processes of a node: its `workers`, its `supervisor`, `apis`, or `all`."""
        node = self.places[name].node
        if which == "workers":
            return node.workers()
        if which == "supervisor":
            return [psutil.Process(node.running.pid)]
        if which == "apis":
            return [each for each in node.tree()[1:] if each not in node.workers()]
        return node.tree()


def until(condition: Callable[[], Any], seconds: float) -> bool:
    """Poll; whether it came to hold."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def rare_errors(chance: float, seed: int) -> dict[str, str]:
    """The environment in which any of our statements fails, before or after its commit, with this chance."""
    paths = [str(Path(__file__).parent / "rare"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths), "RARE_ERRORS": f"{chance:g} {seed}"}


def mutated(folder: Path) -> dict[str, str]:
    """The environment in which the product in `folder` is run in place of the real one."""
    return {"PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}
