"""Runs attempts: from the buffer of claimed jobs, best first, so many at once, each until its time limit."""

import asyncio
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from ..handlers import Registry, describe
from ..job import Job
from ..observability import telemetry
from ..queue import Held, Mine
from ..settings import Settings
from .attempt import Attempt, Buffered
from .forked import leave_if_copy
from .outcome import Ended, Failed, Outcome, Release, Void, outcome_of
from .pace import Pace
from .slots import Section, now
from .spans import Spans
from .tasks import Tasks
from .threads import Threads

STALE_SECONDS = 0.1
"""A claimed job that could not be started within this goes back: a better one may have come meanwhile."""
BEAT_AGE_SECONDS_MAX = 10.0
"""A node that could not say for so long that it lives starts nothing: another may soon take its jobs."""
NO_THREAD = "can't start new thread"
"""How Python says that the system has no thread to give."""
PREFETCH_SECONDS = 0.05
PREFETCH_MAX = 1000
BYTES_MAX = 8 * 2**20
"""Of event_data that is claimed and has not started; one job may be longer."""
LARGE_BYTES = 4096
DISPATCH_SECONDS_MAX = 0.001
"""Handlers that never wait keep the event loop from turning, and the database's answers waiting; for so long. With more
the next claim is sent later, with less the ends are told in smaller batches."""


class Executor:
    """The attempts of one process."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        section: Section,
        on_end: Callable[[Ended], None],
        spans: Spans | None = None,
    ) -> None:
        self.settings, self.registry, self.section, self.on_end = settings, registry, section, on_end
        self.spans = spans
        self.concurrency = settings.concurrency
        self.buffer: deque[Buffered] = deque()
        self.buffered_bytes = 0
        self.running: set[Attempt] = set()
        self.threads: Threads[Attempt] = Threads(self.concurrency, self.handler_ended)
        # A span is in the context of its attempt, and what makes it may put more there.
        self.tasks = Tasks(self.start_next if spans is None else None, self.handler_ended)
        self.room = asyncio.Event()
        self.quiet = asyncio.Event()
        self.quiet.set()
        self.draining = False
        self.worn_out = False
        self.returning = 0
        """Jobs on their way back into the queue. What is claimed before they are there is worse than they are."""
        self.dispatching = False
        self.dispatch_until = self.missed_seconds = 0.0
        self.soon = False
        """The next turn of the loop starts what there is to start."""
        self.started_at = 0.0
        """When the last attempt was started."""
        self.waits: list[float] = []
        """Seconds that jobs had waited when they started, since they were last told of."""
        self.pace = Pace()

    def wanted(self) -> int:
        """How many jobs to claim now: what can start at once, and what will start within PREFETCH_SECONDS."""
        if self.draining or self.returning or self.given_up() or self.is_stuck():
            return 0
        free = max(0, self.concurrency - len(self.running))
        prefetch = min(PREFETCH_MAX, int(self.pace.rate * PREFETCH_SECONDS))
        if self.buffered_bytes >= BYTES_MAX:
            return 0
        wanted = free + prefetch - len(self.buffer)
        # While the buffer still feeds the handlers, wait until a claim is worth its round trip.
        return wanted if wanted > 0 and (free > len(self.buffer) or wanted >= prefetch // 2) else 0

    def add(self, jobs: list[Job], worker_id: int) -> None:
        """Take what was claimed, for `dispatch` to start."""
        time = now()
        if jobs:
            self.pace.fed(time)
        self.buffer.extend([Buffered(job, worker_id, time) for job in jobs])
        self.buffered_bytes += sum([len(job.event_json) for job in jobs])
        if self.returning or self.given_up():  # the answer may have waited for longer than others do
            self.give_back()

    def is_stuck(self) -> bool:
        """Whether words that cannot be written hold all slots: what is claimed would go stale. In a drain all are taken
        as well, for a moment, and not to claim meanwhile costs a twentieth of the rate."""
        return not self.section.free and now() - self.started_at > STALE_SECONDS

    def given_up(self) -> bool:
        """Whether others may have taken what this node holds."""
        return self.section.node.beat_age_seconds() > BEAT_AGE_SECONDS_MAX

    def dispatch_soon(self) -> None:
        """Start from the buffer at the next turn of the event loop; once, however many ask for it."""
        if not self.soon:
            self.soon = True
            asyncio.get_running_loop().call_soon(self.dispatch_now)

    def dispatch_now(self) -> None:
        self.soon = False
        self.dispatch()

    def dispatch(self) -> None:
        """Start from the buffer while there is room, unless that is about to be done: what many ask for would hold the
        loop as many times as long. Ends come back into it, hence the other flag."""
        if self.dispatching or self.soon:
            return
        self.dispatching = True
        try:
            if self.buffer:
                self.quiet.clear()
            self.dispatch_until, self.missed_seconds = now() + DISPATCH_SECONDS_MAX, self.section.node.missed_seconds
            while (attempt := self.start_next()) is not None:
                self.tasks.start(attempt)
        finally:
            self.dispatching = False
            self.note_quiet()
        if not self.buffer and len(self.running) < self.concurrency:
            self.pace.starve(now())
        self.room.set()

    def start_next(self) -> Attempt | None:
        """Start the best of the buffer while there is room, and time: the next attempt that is to be run here."""
        while self.buffer and len(self.running) < self.concurrency and self.section.free:
            time = now()
            if time > self.dispatch_until:
                self.dispatch_soon()
                break
            if time - self.buffer[0].claimed_at > STALE_SECONDS:
                self.give_back()
                break
            attempt = self.start(self.buffer.popleft(), time)
            if attempt is not None:
                return attempt
        return None

    def start(self, item: Buffered, time: float) -> Attempt | None:
        """The attempt, if it is to be run here; None: a thread has it, or it goes back."""
        self.buffered_bytes -= len(item.job.event_json)
        handler = self.registry.find(item.job.event_type_id)
        if handler is None or self.draining:
            self.returning += 1
            self.on_end(Ended(item.job, item.worker_id, None, Release()))
            return None
        deadline = time - self.missed_seconds + (handler.timeout_seconds or self.settings.timeout_seconds)
        slot = self.section.start(item.job.id, item.job.attempt, deadline)
        attempt = Attempt(item.job, item.worker_id, handler, time, deadline, slot)
        if self.spans is not None:
            attempt.span = self.spans.begin(item.job)
        self.started_at = time
        self.waits.append(item.job._waited_seconds + time - item.claimed_at)
        self.running.add(attempt)
        self.pace.started += 1
        if handler.is_async:
            return attempt
        self.submit(attempt)
        return None

    def submit(self, attempt: Attempt) -> None:
        try:
            self.threads.submit(attempt)
        except RuntimeError:
            self.end(attempt, Release())
            self.wear_out()

    def handler_ended(self, attempt: Attempt, answer: object, error: BaseException | None) -> None:
        self.end(attempt, outcome_of(answer) if error is None else self.failed(error))

    def failed(self, error: BaseException) -> Failed:
        if isinstance(error, RuntimeError) and NO_THREAD in str(error):
            self.wear_out()
        return Failed(describe(error))

    def wear_out(self) -> None:
        """End this process in order: it has no threads left, most likely since a handler leaks them."""
        self.worn_out = True
        self.drain()

    def end(self, attempt: Attempt, outcome: Outcome | None) -> None:
        if attempt.ended:
            return  # it was given up when we drained, and its thread came back after all
        leave_if_copy()
        attempt.ended = True
        attempt.task = None  # its context has the attempt: a circle for each job would be the garbage collector's work
        if attempt.told is not None:
            outcome = attempt.told
        if attempt.span is not None:
            attempt.span.end(outcome)
        if isinstance(outcome, Release):
            self.section.unstart(attempt.slot)
        else:
            self.section.end(attempt.slot, succeeded=outcome is None)
        self.running.discard(attempt)
        seconds = now() - attempt.started_at
        job = attempt.job if len(attempt.job.event_json) < LARGE_BYTES else lightened(attempt.job)
        self.on_end(Ended(job, attempt.worker_id, attempt.slot, outcome, seconds, attempt.logged()))
        if not self.dispatching:
            self.note_quiet()
            self.dispatch()

    def note_quiet(self) -> None:
        if not self.running:
            self.quiet.set()

    def watch(self) -> None:
        """Cancel what is past its limit. Called several times a second, which also shows that the loop turns.

        What does not end for it (it swallows it, or is a thread) loses its process, by the supervisor.
        """
        self.section.tick()
        self.tell_waits()
        if self.section.node.looked_lately():
            self.cancel_overdue(self.section.node.awake())
        if self.buffer and now() - self.buffer[0].claimed_at > STALE_SECONDS:
            self.give_back()

    def tell_waits(self) -> None:
        if self.waits:
            waits, self.waits = self.waits, []
            telemetry.publish("jobs.started", waits=waits)

    def cancel_overdue(self, time: float) -> None:
        for attempt in self.running:
            if attempt.told is None and time > attempt.deadline and attempt.task is not None:
                limit = attempt.handler.timeout_seconds or self.settings.timeout_seconds
                attempt.cancel(Failed.timeout(limit))

    def give_back(self) -> None:
        """Release what is buffered: handlers became slower since it was claimed, or we were stopped."""
        self.pace.rate = 0.0
        self.returning += len(self.buffer)
        while self.buffer:
            item = self.buffer.popleft()
            self.on_end(Ended(item.job, item.worker_id, None, Release()))
        self.buffered_bytes = 0

    def returned(self, count: int) -> None:
        """So many of them are back in the queue."""
        self.returning -= count
        self.room.set()

    def drain(self) -> None:
        """Start nothing more."""
        self.draining = True
        self.give_back()
        self.room.set()

    def abandon(self) -> None:
        """Release what still runs, uncharged."""
        for attempt in list(self.running):
            told = Release() if attempt.told is None else attempt.told  # past its limit is past its limit
            if attempt.task is not None:
                attempt.cancel(told)
            else:
                self.end(attempt, told)

    def mine(self) -> set[Mine]:
        """What runs here and has not been told to end."""
        return {each.mine for each in self.running if each.told is None}

    def take_away(self, gone: set[Mine]) -> None:
        """End attempts that are this worker's no more. A thread cannot be told: it runs on, for nothing."""
        for attempt in self.running:
            if attempt.mine in gone and attempt.told is None:
                attempt.cancel(Void())

    def holds(self) -> set[tuple[Held, int]]:
        """((job, attempt), worker id) of all that is claimed here and has not ended."""
        buffered = {((item.job.id, item.job.attempt), item.worker_id) for item in self.buffer}
        return buffered | {((each.job.id, each.job.attempt), each.worker_id) for each in self.running}


def lightened(job: Job) -> Job:
    """A large one without what nobody needs any more: a thousand words may wait, and it is a thousand times a job."""
    return replace(job, event_json="", _decoded=None)
