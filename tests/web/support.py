"""API processes and in-process servers on a test's database, and a proxy that loses answers."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import psycopg

from v7_task_processor.child import Assignment, Report
from v7_task_processor.counting import Account
from v7_task_processor.observability.counts import Counts
from v7_task_processor.settings import Settings
from v7_task_processor.web.application import application
from v7_task_processor.web.ingest import Ingest
from v7_task_processor.web.metrics import Metrics
from v7_task_processor.web.protocol import Protocol
from v7_task_processor.web.ready import Readiness
from v7_task_processor.web.server import Server

from ..faults.relay import Pair, Relay

PATH = "/api/event/v1"
JSON = {"content-type": "application/json"}
TEXT = "text/plain; charset=utf-8"


def body(event_data: str = "{}", *, user_id: object = 1, priority: object = 2, event_type_id: object = 3) -> bytes:
    """A request's body; `event_data` is JSON text."""
    head = json.dumps({"user_id": user_id, "priority": priority, "event_type_id": event_type_id})
    return f'{head[:-1]}, "event_data": {event_data}}}'.encode()


def rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query, values).fetchall()


@dataclass
class Api:
    """A server in this process."""

    port: int
    ingest: Ingest
    readiness: Readiness
    server: Server

    @property
    def backend_pid(self) -> int:
        """Of the connection that commits."""
        connection = self.ingest.committer.link.connection
        assert connection is not None
        return connection.info.backend_pid

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        limits = httpx.Limits(max_connections=300)
        address = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits, headers=JSON, verify=False) as client:
            yield client

    async def post(self, content: bytes, **headers: str) -> httpx.Response:
        """On a connection of its own. `idempotency_key="k"` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client() as client:
            return await client.post(PATH, content=content, headers=named)


@contextlib.asynccontextmanager
async def serving(
    url: str, *, commit_seconds_max: float = 10.0, protocol: type[Protocol] = Protocol, **fields: Any
) -> AsyncIterator[Api]:
    settings = Settings(database_url=url, **fields)
    ingest = Ingest(commit_seconds_max)
    await ingest.start(url)
    readiness = Readiness(url, ingest)
    metrics = Metrics(url, Account(Counts()))
    server = Server(application(settings, ingest, readiness, metrics), 5.0, protocol)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.up.wait()
    try:
        yield Api(port, ingest, readiness, server)
    finally:
        server.should_exit = True
        await task
        await ingest.stop(5)
        await metrics.stop()


@contextlib.asynccontextmanager
async def started(url: str, commit_seconds_max: float = 10.0) -> AsyncIterator[Ingest]:
    ingest = Ingest(commit_seconds_max)
    await ingest.start(url)
    try:
        yield ingest
    finally:
        await ingest.stop(5)


class ApiProcess:
    """A process as a supervisor starts it."""

    def __init__(self, url: str, **fields: Any) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "v7_task_processor.web", str(theirs.fileno())],
                pass_fds=[theirs.fileno(), self.listener.fileno()],
                stderr=subprocess.PIPE,
            )
        assignment = Assignment(
            settings=Settings(database_url=url, **fields), role="api", listen_fd=self.listener.fileno()
        )
        self.ours.sendall(msgspec.json.encode(assignment) + b"\n")
        self.ours.settimeout(60)
        self.report = msgspec.json.decode(self.ours.recv(65536), type=Report)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60, headers=JSON)

    def post(self, content: bytes, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(PATH, content=content, headers=named)

    def stop(self) -> int:
        """Drain it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def close(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.ours.close()
        self.listener.close()


@contextlib.contextmanager
def process(url: str, **fields: Any) -> Iterator[ApiProcess]:
    api = ApiProcess(url, **fields)
    try:
        yield api
    finally:
        api.close()


class Proxy(Relay):
    """Between a client and Postgres. Once it saw `marker` pass to the server, it does what `then` says:

    - lose: wait for the server's answer, and cut both connections instead of passing it on;
    - hold: pass nothing back, until `release`.
    """

    def __init__(self, url: str, then: str = "lose") -> None:
        super().__init__(url)
        self.then = then
        self.marker: bytes | None = None
        self.seen = asyncio.Event()
        self.release = asyncio.Event()
        self.release.set()

    async def start_again(self) -> None:
        await self.listen()

    async def up(self, pair: Pair, data: bytes) -> bool:
        if self.marker is not None and self.marker in data:
            self.marker = None
            pair.lost = self.then == "lose"
            if self.then == "hold":
                self.release.clear()
            self.seen.set()
        return True

    async def down(self, pair: Pair, data: bytes) -> bool:
        if pair.lost:
            return False
        await self.release.wait()
        return True


@contextlib.asynccontextmanager
async def proxied(url: str, then: str = "lose") -> AsyncIterator[tuple[Proxy, str]]:
    """With the address of the database through it."""
    proxy = Proxy(url, then)
    await proxy.listen()
    try:
        yield proxy, proxy.through()
    finally:
        await proxy.stop()
