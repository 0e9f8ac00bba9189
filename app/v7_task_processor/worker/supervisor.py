"""Keeps a node's processes. Runs no user code, so nothing that a handler does can reach it."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import psycopg
from msgspec.structs import replace

from .. import maintenance, queue
from ..child import Assignment, Report
from ..counting import WRITE_SECONDS, Account
from ..database import LOCAL, Link
from ..errors import ConfigurationError
from ..maintenance import Chores, run_every
from ..observability import counts, logs
from ..operations import Operator
from ..queue import Served
from ..settings import Settings
from ..unavailable import explained
from .address import listen, netloc
from .children import Child
from .lone import LoneWorkers
from .node import BEAT_SECONDS, Member, node_map, nodes_folder
from .predecessors import rescue_predecessors
from .session import HOT
from .stubborn import Stubborn
from .undertaker import Undertaker

log = logs.get(__name__)
LOOK_SECONDS = 0.5
LEAVE_SECONDS_MAX = 3.0
EXIT_CONFIG = ConfigurationError.exit_code


class Server(Protocol):
    """The embedded Postgres, of which the supervisor only knows how to keep it alive."""

    def alive(self) -> bool: ...
    def ensure(self) -> bool: ...


def supervise(
    settings: Settings,
    *,
    url: str,
    api: bool,
    workers: bool,
    server: Server | None = None,
    on_ready: Callable[[str], None] = lambda address: None,
) -> int:
    """Run a node until a signal ends it; the exit code. `on_ready` is called with its address once all of it works.

    Raises ConfigurationError where it cannot start as it is set up, DatabaseUnavailable without a database, V7Error
    where that refuses it.
    """
    logs.configure(settings)
    if sys.version_info < (3, 12) and hasattr(os, "pidfd_open"):  # else each child takes a thread, which may not be had
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    settings = replace(settings, database_url=url)
    listener = listen(settings) if api else None
    with listener or contextlib.nullcontext():
        return asyncio.run(Supervisor(settings, url, listener, workers, server, on_ready).run())


class Supervisor:
    """One node: its children, its place in the register, its chores. Signals record; `run` acts."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        listener: socket.socket | None,
        workers: bool,
        server: Server | None,
        on_ready: Callable[[str], None],
    ) -> None:
        self.settings, self.url, self.listener, self.server = settings, url, listener, server
        self.on_ready = on_ready
        count = settings.worker_processes if workers else 0
        self.map = node_map(settings, 2 * count)
        self.member = Member(settings, url, self.map)
        self.workers = [Child("worker", section) for section in range(count)]
        lone = [Child("lone worker", count + section) for section in range(count)]
        self.lone = LoneWorkers(lone, Link(url, HOT), self.lone_life)
        self.apis = [Child("api") for _ in range(settings.api_processes if listener else 0)]
        self.served = Served(False, [], [], {}, settings.max_retries)
        self.link = Link(url, HOT)
        self.stubborn = Stubborn(self.link)
        self.undertaker = Undertaker(settings, self.member, self.map, self.stubborn)
        self.chores_link = Link(url, {**HOT, **LOCAL})
        self.account = Account(counts.collect())
        self.chores = Chores(self.chores_link, settings.retention_days, self.account)
        self.operator = Operator(url, self.chores.operations_wait)
        self.failure = ""
        self.stop, self.stop_now = asyncio.Event(), asyncio.Event()
        self.up = False

    async def run(self) -> int:
        """Start everything, keep it until a signal, end everything; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.signalled)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # by nohup
            loop.add_signal_handler(signal.SIGHUP, self.left_alone)
        stop = asyncio.create_task(self.stop.wait())
        entering = asyncio.create_task(self.enter())
        await asyncio.wait([entering, stop], return_when=asyncio.FIRST_COMPLETED)
        if not entering.done():
            await self.hang_up()
            entering.cancel()
            self.map.drop()
            return 0
        entering.result()
        keepers = [asyncio.create_task(self.keep(child)) for child in [*self.workers, *self.apis]]
        services = [asyncio.create_task(service) for service in self.services()]
        try:
            await asyncio.wait([*keepers, *services, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in [*keepers, *services]:
                if task.done():
                    task.result()  # raises what it failed with: nothing else ends these
        finally:
            self.stop.set()
            lives = await self.drain(keepers)
            stop.cancel()
            for service in services:
                service.cancel()
            await self.leave(lives)
        return 0

    async def enter(self) -> None:
        """Become one of the nodes. Raises V7Error."""
        try:
            await self.member.join()
            if self.workers:
                connection = await self.link.get()
                with contextlib.suppress(psycopg.Error):  # after weeks without a node; what dead ones did may end there
                    await queue.add_days(connection, maintenance.DAYS_AHEAD)
                await rescue_predecessors(connection, self.settings, nodes_folder(self.settings))
        except BaseException as error:
            self.map.drop()
            if isinstance(error, psycopg.OperationalError):
                raise explained(error) from None
            raise

    def signalled(self) -> None:
        if self.stop.is_set():
            log.warning("ending at once; what runs goes back into the queue")
            self.stop_now.set()
        else:
            log.info("draining: what runs has its time to end", seconds=self.settings.shutdown_seconds)
            self.stop.set()

    def left_alone(self) -> None:
        """Its terminal was closed: the kernel says so, and a shell may too."""
        if not self.stop.is_set():
            self.signalled()

    def services(self) -> list[Coroutine[Any, Any, None]]:
        services = [
            run_every(BEAT_SECONDS, "say that this node lives", self.beat),
            run_every(1.0, "carry out operations", self.operator.step),
        ]
        if self.workers:
            services += [
                run_every(BEAT_SECONDS, "watch other nodes", self.member.watch),
                run_every(maintenance.PROMOTE_SECONDS, "queue scheduled jobs and tidy up", self.chores.round),
                run_every(0.0, "look for suspects", self.look_for_suspects),
                run_every(LOOK_SECONDS, "look for stuck attempts", self.end_stuck),
            ]
        else:
            services.append(run_every(WRITE_SECONDS, "write metrics and look for operations", self.few_chores))
        if self.server is not None:
            services.append(run_every(LOOK_SECONDS, "keep Postgres alive", self.keep_server))
        return services

    async def keep(self, child: Child) -> None:
        """Keep one process alive until we stop."""
        while not self.stop.is_set():
            code = await self.live(child)
            if not self.up and code == EXIT_CONFIG:
                raise ConfigurationError(self.failure)
            await self.rest(child)

    async def rest(self, child: Child) -> None:
        """Wait until it is time for its next start."""
        child.resting = True
        await asyncio.sleep(0 if self.stop.is_set() else child.restart_seconds())
        child.resting = False

    async def live(self, child: Child) -> int:
        """One life of a process, from its start to the rescue of what it held; its exit code."""
        try:
            await child.start(self.assignment(child))
        except OSError as error:  # no memory, no process ids: as if it had died at once
            log.error("cannot start a process", role=child.role, error=str(error))
            return 1
        if self.stop.is_set():  # while it was started: nobody else tells it
            child.drain()
        report = await child.first_report()
        if report.ready:
            await self.welcome(child, report)
        code = await child.wait()
        if not report.ready and not self.stop.is_set():
            self.failure = report.error
        if not report.ready and not self.stop.is_set() and (self.up or code != EXIT_CONFIG):
            log.error("a process cannot start", role=child.role, error=report.error, exit_code=code)
        if await self.undertaker.bury(child, code, asked=self.stop.is_set()):
            self.lone.hint.set()
        return code

    def assignment(self, child: Child) -> Assignment:
        is_api = child.role == "api"
        return Assignment(
            settings=self.settings,
            role=child.role,
            node_id=self.member.id,
            token=self.member.token,
            map_fd=-1 if is_api else self.map.fd,
            section=child.section,
            listen_fd=self.listener.fileno() if is_api and self.listener else -1,
        )

    async def welcome(self, child: Child, report: Report) -> None:
        """A process works. Note what its handlers serve; tell when all of them work for the first time."""
        if child.role != "api":
            types = None if report.serves_all else report.event_type_ids
            self.served = self.served._replace(all_types=report.serves_all, open_types=report.event_type_ids)
            self.account.counts.tell_apart(report.event_type_ids)
            await self.stubborn.do(lambda connection: queue.serve(connection, self.member.id, types, report.timeouts))
        if not self.up and all(each.ready for each in [*self.workers, *self.apis]):
            self.up = True
            port = self.listener.getsockname()[1] if self.listener else 0
            self.on_ready(f"http://{netloc(self.settings.host, port)}" if port else "")

    async def beat(self) -> None:
        """Say that this node lives; where others have given it up, begin anew under another identity."""
        if await self.member.beat():
            return
        log.error("other nodes have given this one up; its workers are ended, and it begins anew")
        await self.member.join()
        for child in [*self.workers, *self.lone.children]:
            child.kill()
        await self.member.beat()  # and not before: those that were given up must go on starting nothing

    async def look_for_suspects(self) -> None:
        await self.lone.look(self.served, lambda: self.stop.is_set() or self.member.drained_by is not None)

    async def lone_life(self, child: Child) -> int:
        """One life of a lone worker; and a rest, where it could not even start."""
        code = await self.live(child)
        if not child.ready:
            await self.rest(child)
        return code

    async def end_stuck(self) -> None:
        self.undertaker.end_stuck([*self.workers, *self.lone.children])

    async def keep_server(self) -> None:
        """Start the embedded Postgres again where it died."""
        assert self.server is not None
        if not self.server.alive():
            log.error("Postgres ended; starting it again")
            await asyncio.to_thread(self.server.ensure)

    async def few_chores(self) -> None:
        """Those of a node without workers."""
        connection = await self.chores_link.get()
        await self.account.keep(connection)
        await self.chores.look_for_operations(connection)

    async def drain(self, keepers: list["asyncio.Task[None]"]) -> asyncio.Future[Any]:
        """Have all children end: in order within the time, at once after that or on a second signal.

        What it answers is done when all that they held is given back.
        """
        if self.listener is not None:
            self.listener.close()  # the API processes end first: later clients are refused, not left to wait
        children = [*self.apis, *self.workers, *self.lone.children]
        self.map.drain()
        for child in children:
            child.drain()
        kept = dict(zip([*self.workers, *self.apis], keepers, strict=True))
        for child, task in (kept | self.lone.lives).items():
            if child.resting:
                task.cancel()
        lives = asyncio.gather(*keepers, *self.lone.lives.values(), return_exceptions=True)
        now = asyncio.ensure_future(self.stop_now.wait())
        ends: list[asyncio.Future[Any]] = [lives, now]
        await asyncio.wait(ends, timeout=self.settings.shutdown_seconds, return_when="FIRST_COMPLETED")
        now.cancel()
        for child in children:
            child.kill()
        return lives

    async def leave(self, lives: asyncio.Future[Any]) -> None:
        """Give back what is held and take this node from the register. Where the database is away, others will."""

        async def say_goodbye() -> None:
            await lives
            await self.member.leave()
            self.map.drop()
            await self.account.keep(await self.link.get())

        goodbye = asyncio.create_task(say_goodbye())
        await asyncio.wait([goodbye], timeout=LEAVE_SECONDS_MAX)
        self.stubborn.let_go()
        await self.hang_up()
        goodbye.cancel()
        with contextlib.suppress(psycopg.Error, asyncio.CancelledError):
            await goodbye

    async def hang_up(self) -> None:
        """Whoever waits for an answer has waited long enough: it may never come."""
        member, others = self.member, (self.lone, self.operator)
        links = [self.link, self.chores_link, member.link, member.watch_link, *(each.link for each in others)]
        await asyncio.gather(*(link.close() for link in links))
