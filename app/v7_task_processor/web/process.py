"""An API process: `python -m v7_task_processor.web FD`, started by a supervisor."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket

import uvloop

from ..child import Parent, Report
from ..counting import Account
from ..observability import counts, logs
from .application import application
from .ingest import Ingest
from .metrics import Metrics
from .ready import Readiness
from .server import Server

log = logs.get(__name__)
LAST_COMMITS_SECONDS = 2.0
"""Of the time to shut down, what is kept for commits after the last connection is closed."""


def main(fd: int) -> None:
    """Be the API process that the supervisor at the other end of `fd` wants."""
    parent = Parent(fd)
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group; the supervisor decides
        signal.signal(number, signal.SIG_IGN)
    logs.configure(parent.assignment.settings)
    allow_connections()
    try:
        uvloop.run(Api(parent).run())
    except Exception as error:
        log.exception("the API process failed")
        parent.report(Report(ready=False, error=f"{type(error).__name__}: {error}"))
        logs.flush()
        os._exit(1)
    logs.flush()
    os._exit(0)  # a look at the database that hangs in its thread must not hold us


def allow_connections() -> None:
    """Each connection takes a file descriptor, and many systems give a process 1,024 unless it asks."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Api:
    """The parts of an API process, and its life from start to drain."""

    def __init__(self, parent: Parent) -> None:
        self.parent = parent
        settings = parent.assignment.settings
        assert settings.database_url is not None
        self.url = settings.database_url
        self.last_commits_seconds = min(LAST_COMMITS_SECONDS, settings.shutdown_seconds / 2)
        self.ingest = Ingest()
        self.readiness = Readiness(self.url, self.ingest)
        self.metrics = Metrics(self.url, Account(counts.collect()))
        app = application(settings, self.ingest, self.readiness, self.metrics)
        left = settings.shutdown_seconds - self.last_commits_seconds
        grace_seconds = min(settings.grace_seconds, left)
        self.server = Server(app, left - grace_seconds, grace_seconds=grace_seconds)

    async def run(self) -> None:
        """Serve until told to stop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.drain)
        await self.ingest.start(self.url)
        self.metrics.start()
        listener = socket.socket(fileno=self.parent.assignment.listen_fd)
        serving = asyncio.create_task(self.server.serve(sockets=[listener]))
        up = asyncio.create_task(self.server.up.wait())
        await asyncio.wait([serving, up], return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            gc.freeze()  # what is there now stays: the collector need not look at it again
            self.parent.report(Report(ready=True))
        working = self.ingest.tasks[:2]
        await asyncio.wait([serving, *working], return_when=asyncio.FIRST_COMPLETED)
        for task in working:
            if task.done() and not serving.done():
                task.result()  # without it requests would wait for ever: end, and be started again
        await serving
        await self.ingest.stop(self.last_commits_seconds)
        await self.metrics.stop()

    def drain(self) -> None:
        """Say that we are not ready, serve on until proxies have seen it, answer what is on its way, then end."""
        self.readiness.draining = True
        self.server.drain()
