"""A worker process: `python -m v7_task_processor.worker FD`, started by a supervisor."""

import asyncio
import os
import signal

import psycopg

from .. import handlers, queue
from ..child import EXIT_CANCELLED, EXIT_TERMINATED, Assignment, Parent, Report
from ..counting import Account
from ..errors import ConfigurationError
from ..handlers import Registry
from ..observability import counts, logs, tracing
from ..queue import Held, Served
from ..settings import Settings
from . import eager
from .executor import Executor
from .listener import Listener
from .printed import redirect_prints
from .recorder import Recorder
from .scheduler import Scheduler
from .session import Rescued, Session
from .slots import NodeMap
from .spans import Spans

log = logs.get(__name__)
WATCH_SECONDS = 0.25
LAST_WORDS_SECONDS = 2.0
"""Of the time to shut down, what is kept for writing how the last attempts ended."""
EXIT_AGAIN = 75
"""Exit code of a worker that must begin anew: others have given it up, or it is worn out (EX_TEMPFAIL)."""
LONE_IDLE_CLAIMS = 5
"""A lone worker ends after finding nothing so many times."""


def main(fd: int) -> None:
    """Be the worker that the supervisor at the other end of `fd` wants."""
    parent = Parent(fd)
    assignment = parent.assignment
    notes = NodeMap.inherited(assignment.map_fd)
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the whole group; the supervisor decides
        signal.signal(number, signal.SIG_IGN)
    logs.configure(assignment.settings)
    logs.keep_with_attempts(assignment.settings)
    redirect_prints()
    # Handlers that use the same database find it in the same place, embedded or not.
    os.environ["DATABASE_URL"] = assignment.settings.database_url or ""
    try:
        registry = handlers.load(assignment.settings.handlers)
        handlers.check_types(registry, assignment.settings.only_types)
    except ConfigurationError as error:
        parent.report(Report(ready=False, error=str(error)))
        leave(error.exit_code)
    tracer = tracing.tracer()
    spans = None if tracer is None else Spans(tracer)
    worker = Worker(parent, registry, notes, spans)
    try:
        # Not asyncio.run: it cancels the tasks of a loop that a handler stopped, and they would seem to have ended.
        leave(eager.Loop().run_until_complete(worker.run()))
    except asyncio.CancelledError:
        worker.doubt()
        log.error("somebody cancelled all tasks of this process, a handler perhaps; starting anew")
        leave(EXIT_CANCELLED)
    except BaseException as error:
        log.exception("the worker failed")
        parent.report(Report(ready=False, error=f"{type(error).__name__}: {error}"))
        leave(1)


def leave(code: int) -> None:
    """End without waiting for threads, which may hang in a handler."""
    tracing.shut_down()
    logs.flush()
    os._exit(code)


class Worker:
    """The parts of a worker, and its life from start to drain."""

    def __init__(self, parent: Parent, registry: Registry, notes: NodeMap, spans: Spans | None) -> None:
        self.parent, self.assignment, self.spans = parent, parent.assignment, spans
        lone = self.assignment.role == "lone worker"
        self.settings = alone(self.assignment) if lone else self.assignment.settings
        assert self.settings.database_url is not None
        self.section = notes.section(self.assignment.section)
        self.served = served_by(registry, self.settings)
        self.session = Session(self.settings.database_url, self.assignment, self.holds)
        self.recorder = Recorder(self.settings, self.session, self.section)
        self.registry = registry
        self.account = Account(counts.collect())
        self.account.counts.tell_apart(self.served.open_types)
        self.lone = lone
        self.stop = asyncio.Event()

    async def run(self) -> int:
        """Work until told to stop; the exit code."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop.set)
        self.section.tick()
        self.executor = Executor(self.settings, self.registry, self.section, self.recorder.add, self.spans)
        self.recorder.on_written = self.executor.dispatch
        self.recorder.on_returned = self.executor.returned
        try:
            await self.session.open()
        except (psycopg.OperationalError, Rescued) as error:
            self.parent.report(Report(ready=False, error=str(error).strip() or "the node is not registered"))
            return EXIT_AGAIN
        self.scheduler = Scheduler(self.session, self.executor, self.recorder, self.served, lone=self.lone)
        self.parent.report(
            Report(
                ready=True,
                serves_all=self.served.all_types,
                event_type_ids=self.served.open_types,
                timeouts=timeouts(self.registry, self.settings),
            )
        )
        return await self.work()

    async def work(self) -> int:
        tasks = [
            asyncio.create_task(self.scheduler.run()),
            asyncio.create_task(self.recorder.run()),
            asyncio.create_task(Listener(self.session, self.scheduler, self.account).run()),
            asyncio.create_task(self.watch()),
        ]
        stop = asyncio.create_task(self.stop.wait())
        done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stop}:
            error = task.exception()
            if isinstance(error, Rescued):
                log.warning("given up by another node: what ran here runs elsewhere; starting anew")
                return EXIT_AGAIN
            if error is not None:
                raise error
        await self.drain()
        if self.executor.running:
            log.error("somebody sent SIGTERM, a handler perhaps, and what runs does not end; starting anew")
            return EXIT_TERMINATED
        if self.executor.worn_out:
            log.error("no threads are left in this process, a handler may leak them; starting anew")
            return EXIT_AGAIN
        return 0

    async def watch(self) -> None:
        """Keep the limits, several times a second. Ends for a lone worker that has nothing to do."""
        while not (self.lone and self.idle()):
            self.executor.watch()
            await asyncio.sleep(WATCH_SECONDS)

    def idle(self) -> bool:
        return (
            self.scheduler.empty_claims >= LONE_IDLE_CLAIMS
            and not self.executor.running
            and not self.recorder.unwritten()
        )

    async def drain(self) -> None:
        """Start nothing, let what runs end within the time, release the rest, have all of it written.

        Where the supervisor does not want it, a handler does, perhaps: then what runs on is its to judge, as after a
        crash. Else who ends its process so would be given back for ever.
        """
        seconds = self.settings.shutdown_seconds
        self.executor.drain()
        try:
            async with asyncio.timeout(max(0.0, seconds - LAST_WORDS_SECONDS)):
                await self.executor.quiet.wait()
        except TimeoutError:
            if self.stop.is_set() and not self.section.node.draining:
                return
            self.executor.abandon()
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.executor.quiet.wait()
                await self.recorder.idle.wait()
                self.executor.tell_waits()
                await self.account.keep(self.session.records)
                if not self.recorder.unwritten():  # else the supervisor looks at what is laid aside
                    await queue.unregister(self.session.records, [self.session.worker_id, *self.session.earlier])
                await queue.wake(self.session.records, back=True)
        except (TimeoutError, psycopg.OperationalError):
            log.warning("ended before everything was written; the supervisor releases the rest")

    def doubt(self) -> None:
        """Somebody cancelled our own tasks, and those of all attempts, which failed by it: which of them did it is not
        known. Whoever did not succeed may have, also by a Snooze; he would be given back for ever, as one whose word
        came too late."""
        for ended in self.recorder.unwritten():
            if ended.slot is not None and ended.outcome is not None:
                self.section.doubt(ended.slot)

    def holds(self) -> set[tuple[Held, int]]:
        return self.executor.holds() | self.recorder.holds()


def served_by(registry: Registry, settings: Settings) -> Served:
    limits = {
        event_type_id: each.max_retries
        for event_type_id, each in registry.by_type.items()
        if each.max_retries is not None
    }
    default = settings.max_retries
    if registry.catch_all is not None and registry.catch_all.max_retries is not None:
        # The catch-all's limit is that of every type without a handler of its own.
        default = registry.catch_all.max_retries
        limits = dict.fromkeys(registry.by_type, settings.max_retries) | limits
    if settings.only_types is not None:
        return Served(False, sorted(settings.only_types), [], limits, default)
    return Served(registry.catch_all is not None, sorted(registry.by_type), [], limits, default)


def timeouts(registry: Registry, settings: Settings) -> dict[str, float]:
    """Seconds that an attempt may take, by event type."""
    handled = {str(event_type_id): each for event_type_id, each in registry.by_type.items()}
    if registry.catch_all is not None:
        handled["other"] = registry.catch_all
    return {name: each.timeout_seconds or settings.timeout_seconds for name, each in handled.items()}


def alone(assignment: Assignment) -> Settings:
    """A lone worker's settings: one attempt at a time."""
    from msgspec.structs import replace

    return replace(assignment.settings, concurrency=1)
