"""A deployment of two API nodes and three worker nodes is replaced node by node behind HAProxy; no client knows."""

import contextlib
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import __version__
from v7_task_processor.database import SCHEMA_VERSION

from ..nodes import V7, get, wait_until
from .cluster import Cluster, free_port
from .lab import Lab, mutated
from .ledger import Done, Sent, read_clients
from .load import Clients
from .looks import Record
from .mutants import APP

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
CLIENTS, A_SECOND = 32, 100.0
MIX = {"ok": 80, "sleep": 20}
"""Nothing that fails by itself: then nothing is charged, or we did it."""
SETTINGS: dict[str, Any] = {"V7_SHUTDOWN_SECONDS": 25, "V7_GRACE_SECONDS": 8}
"""As docs/deploy.md has them."""
APIS, WORKERS = ("one", "two"), ("a", "b", "c")

pytestmark = [
    pytest.mark.fault(74),
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy (Debian: package haproxy)"),
]


class Balancer:
    """HAProxy as it is deployed, but for its ports and a socket that tells what it thinks of its servers; and it does
    not send again what a node refused: nodes shall refuse nothing."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.port, self.socket = free_port(), folder / "haproxy.sock"
        text = CONFIGURATION.read_text().replace("bind :4000", f"bind 127.0.0.1:{self.port}")
        text = text.replace("retries 3", "retries 0").replace("option redispatch 1", "no option redispatch")
        text = text.replace("global\n", f"global\n    stats socket {self.socket}\n")
        for place, port in zip(("one 127.0.0.1:4001", "two 127.0.0.1:4002"), ports.items(), strict=True):
            assert place in text
            text = text.replace(place, f"{port[0]} 127.0.0.1:{port[1]}")
        self.file = folder / "haproxy.cfg"
        self.file.write_text(text)

    def up(self, name: str) -> bool:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(self.socket))
            asked.sendall(b"show stat\n")
            said = asked.makefile().read()
        (line,) = [line for line in said.splitlines() if line.startswith(f"api,{name},")]
        return "UP" in line.split(",")

    @contextlib.contextmanager
    def running(self) -> Iterator["Balancer"]:
        process = subprocess.Popen(["haproxy", "-db", "-f", self.file], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: get(("127.0.0.1", self.port), "/readyz") == 200, "it balances")
            yield self
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def deployed(lab: Lab) -> Iterator[Balancer]:
    """Two API nodes and three worker nodes, and HAProxy before the API."""
    ports = {name: int(lab.add(name, "api").node.environment["PORT"]) for name in APIS}
    for name in WORKERS:
        lab.add(name)
    lab.ready()
    with Balancer(lab.folder, ports).running() as balancer:
        wait_until(lambda: all(map(balancer.up, APIS)), "both are in the rotation")
        yield balancer


def send(lab: Lab, balancer: Balancer) -> Clients:
    lab.clients = Clients([("127.0.0.1", balancer.port)], lab.sent, lab.seed, MIX).start(CLIENTS, A_SECOND)
    return lab.clients


def replace(lab: Lab, balancer: Balancer, name: str, environment: dict[str, str] | None = None) -> None:
    """Stop a node, and start it; the next one has its turn when this one works."""
    place, begin = lab.places[name], time.monotonic()
    pids = [each.pid for each in place.node.tree()]
    assert place.node.stop() == 0
    place.node.environment |= environment or {}
    place.node.start(place.command)
    if place.command == "api":
        place.node.address()
        wait_until(lambda: balancer.up(name), f"{name} is in the rotation")
    else:
        serving = "select 1 from v7.workers w join v7.workers n on n.id = w.node_id where n.pid = %s"
        wait_until(lambda: lab.cluster.sql(serving, place.node.running.pid), f"{name} works")
    place.notice()
    # Not that it excuses anything (check() sees to that): the ledger judges order by claims then, not by starts.
    lab.fault("node-replaced", name, pids, begin)


def p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def answered(lab: Lab) -> list[tuple[float, float]]:
    """When each event was sent, and how many seconds its answer took."""
    sent: dict[int, float] = {}
    taken = []
    for record in read_clients([lab.folder / "clients.jsonl"]):
        if isinstance(record, Sent):
            sent[record.n] = record.mono
        elif isinstance(record, Done):
            taken.append((sent[record.n], record.mono - sent[record.n]))
    return taken


def check(lab: Lab, clients: Clients) -> None:
    """Each was answered 200 the first time, and ran once; none was charged."""
    lab.settle()
    assert clients.answers.keys() == {200}
    report = lab.report()
    assert report.passed, str(report)
    assert report.counts["failures"] == 0
    assert report.extra_runs.keys() == {0}
    assert report.counts["succeeded"] == clients.answers[200]


def roll(lab: Lab, rounds: int, record_property: Record) -> None:
    with deployed(lab) as balancer:
        clients = send(lab, balancer)
        clients.wait_for(20 * CLIENTS)
        warm = len(answered(lab))  # what a process does for the first time takes longer, and is not what is usual
        clients.wait_for(60 * CLIENTS)
        calm = len(answered(lab))
        for name in itertools.chain.from_iterable([*APIS, *WORKERS] for _ in range(rounds)):
            replace(lab, balancer, name)
        clients.stop()
        taken = [seconds for _, seconds in sorted(answered(lab))]
        record_property("p99_seconds_calm", p99(taken[warm:calm]))
        record_property("p99_seconds_rolling", p99(taken[calm:]))
        check(lab, clients)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_times_round(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    with Lab(tmp_path / "lab", cluster, 1, **SETTINGS) as lab:
        roll(lab, 5, record_property)


NEXT = f'''"""What the next release adds."""

from alembic import op

revision = "9999"
down_revision = "{SCHEMA_VERSION}"


def upgrade() -> None:
    op.execute("alter table v7.jobs add column tenant_id bigint default 7")
    op.execute("alter table v7.finished_jobs add column tenant_id bigint")
    op.execute("alter table v7.workers add column region text default 'here'")
    op.execute("create table v7.tenants (id bigint primary key)")


def downgrade() -> None:
    op.execute("drop table v7.tenants")
    op.execute("alter table v7.workers drop column region")
    op.execute("alter table v7.finished_jobs drop column tenant_id")
    op.execute("alter table v7.jobs drop column tenant_id")
'''


def next_release(folder: Path) -> Path:
    """The product with a migration more, to be put on the path before the real one."""
    app = folder / "app"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(APP, app, ignore=ignored)
    shutil.copytree(APP.parent / "migrations", folder / "migrations", ignore=ignored)
    (folder / "migrations" / "versions" / "9999_tenants.py").write_text(NEXT)
    for name, now, then in (
        ("database.py", f'SCHEMA_VERSION = "{SCHEMA_VERSION}"', 'SCHEMA_VERSION = "9999"'),
        ("__init__.py", f'__version__ = "{__version__}"', '__version__ = "9999"'),
    ):
        text = (app / "v7_task_processor" / name).read_text()
        assert now in text
        (app / "v7_task_processor" / name).write_text(text.replace(now, then))
    return app


def migrate(lab: Lab, environment: dict[str, str], *arguments: str) -> float:
    """How many seconds it took."""
    began = time.monotonic()
    given = {**os.environ, **environment, "DATABASE_URL": lab.cluster.url}
    done = subprocess.run([*V7, "migrate", *arguments], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - began


def schemas(lab: Lab) -> object:
    return lab.cluster.sql("select version_num from v7.alembic_version")[0][0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_with_a_migration_forward_and_back(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """The new schema comes under the old nodes, which are replaced by new ones; and the other way round."""
    new, old = mutated(next_release(tmp_path / "next")), {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    with Lab(tmp_path / "lab", cluster, 2, **SETTINGS) as lab, deployed(lab) as balancer:
        clients = send(lab, balancer)
        clients.wait_for(5 * CLIENTS)
        record_property("migrate_seconds", migrate(lab, new))
        for environment in (new, old):
            assert schemas(lab) == "9999"
            for name in (*APIS, *WORKERS):
                replace(lab, balancer, name, environment)
        record_property("migrate_back_seconds", migrate(lab, new, "--to", SCHEMA_VERSION))
        assert schemas(lab) == SCHEMA_VERSION
        clients.wait_for(5 * CLIENTS)
        record_property("slowest_seconds", max(seconds for _, seconds in answered(lab)))
        check(lab, clients)
