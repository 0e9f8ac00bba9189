"""A small sound run, made up: what a product that keeps its promises would leave behind.

Time goes in steps. Two workers of node `a` and one of node `b` take the best jobs; one worker is killed in the
middle, node `b` is frozen until others have taken its jobs, and Postgres crashes and takes back its last claim.
"""

import hashlib
import random
from collections.abc import Iterator
from typing import Any

from .records import Change, Done, End, Failure, Fault, Orphans, Row, Sent, Start, Tables

MAX_RETRIES = 2
STEP_SECONDS = 0.01
DOS = ["ok"] * 12 + ["sleep"] * 4 + ["fail", "snooze", "discard", "die", "block", "exit"]
SECONDS = {"sleep": 0.3, "block": 0.2, "die": 0.0, "exit": 0.0}
"""How long a handler takes; others 0.03."""


class Job:
    """A job as the made-up database has it."""

    def __init__(self, job_id: int, n: int, do: str, sha: str, priority: int) -> None:
        self.id, self.n, self.do, self.sha, self.priority = job_id, n, do, sha, priority
        self.status: str | None = None
        self.position, self.attempt, self.retry_count, self.due = 0, 0, 0, 0.0
        self.worker: int | None = None
        self.suspect = False


class Attempt:
    def __init__(self, job: Job, nonce: str, over: float) -> None:
        self.job, self.nonce, self.over = job, nonce, over
        self.fence = job.attempt, job.worker

    @property
    def held(self) -> bool:
        return self.job.status == "running" and self.fence == (self.job.attempt, self.job.worker)


class Worker:
    """A process; `id` is its place in the register, which it changes with each connection."""

    def __init__(self, worker_id: int, pid: int, node: str, lone: bool = False) -> None:
        self.id, self.pid, self.node, self.lone = worker_id, pid, node, lone
        self.runs: list[Attempt] = []
        self.frozen = False


class World:
    """All that happens, and the records of it."""

    def __init__(self, seed: int = 1) -> None:
        self.chance, self.concurrency = random.Random(seed), 3
        self.now, self.numbers = 100.0, iter(range(10, 10_000_000, 10))
        self.jobs: list[Job] = []
        self.clients: list[Sent | Done] = []
        self.handled: list[Start | End] = []
        self.changes: list[Change] = []
        self.failures: list[Failure] = []
        self.faults: list[Fault] = []
        self.orphans: list[Orphans] = []
        self.workers = [Worker(1, 101, "a"), Worker(2, 102, "a"), Worker(3, 201, "b")]

    def send(self, do: str, priority: int, key: str | None = None, statuses: tuple[int | None, ...] = (200,)) -> None:
        """An event, sent until one of the answers is 200. Where none is, its job may be there all the same."""
        n = len(self.jobs) + 1
        sha = hashlib.sha256(f'{{"n": {n}, "do": "{do}"}}'.encode()).hexdigest()
        job = Job(n + 1000, n, do, sha, priority)
        self.jobs.append(job)
        for status in statuses:
            self.clients.append(Sent(n, key, 1, priority, sha, do, self.now))
            if status is not None:
                self.clients.append(Done(n, status, job.id if status == 200 else None, self.now + 0.005))
        if not all(status and 400 <= status < 500 for status in statuses):
            self.change(job, status="queued", position=next(self.numbers))

    def change(self, job: Job, **new: Any) -> None:
        names = ("status", "attempt", "worker", "retry_count", "priority", "position")
        old = [getattr(job, name) if job.status else None for name in names]
        for name, value in new.items():
            setattr(job, name, value)
        values = [getattr(job, name) for name in names]
        seq = len(self.changes) + 1
        fields: list[Any] = [seq, str(seq), self.now, self.now, job.id, *old, *values, job.suspect]
        self.changes.append(Change(*fields))

    def step(self) -> None:
        """Ends first, then what is due, then claims, best first."""
        self.now += STEP_SECONDS
        for worker in list(self.workers):
            for run in [run for run in worker.runs if run.over <= self.now and not worker.frozen]:
                if run in worker.runs:
                    self.end(worker, run)
        for job in self.jobs:
            if job.status == "scheduled" and job.due <= self.now:
                self.change(job, status="queued", position=next(self.numbers))
        if not any(worker.lone for worker in self.workers):
            self.workers.append(Worker(next(self.numbers), next(self.numbers) + 10_000, "a", lone=True))
        for worker in self.workers:
            self.claim(worker)

    def claim(self, worker: Worker) -> None:
        while not worker.frozen and len(worker.runs) < (1 if worker.lone else self.concurrency):
            queued = [job for job in self.jobs if job.status == "queued" and job.suspect == worker.lone]
            if not queued:
                return
            job = min(queued, key=lambda job: (job.priority, job.position))
            self.change(job, status="running", attempt=job.attempt + 1, worker=worker.id)
            self.start(worker, job)

    def start(self, worker: Worker, job: Job) -> None:
        nonce = f"{self.chance.getrandbits(64):x}"
        self.handled.append(Start(nonce, job.id, job.attempt, job.n, job.sha, worker.pid, self.now + 0.001))
        worker.runs.append(Attempt(job, nonce, self.now + SECONDS.get(job.do, 0.03)))

    def end(self, worker: Worker, run: Attempt) -> None:
        job = run.job
        if job.do in ("die", "exit"):
            return self.bury(worker)
        if job.do == "block":
            return self.bury(worker, overdue=job)
        outcome = {"fail": "failed", "discard": "discard"}.get(job.do, "ok")
        if job.do == "snooze" and job.attempt == 1:
            outcome = "snooze"
        self.say(worker, run, outcome)
        self.now += 0.0001  # the word comes before the write
        if not run.held:
            return None  # it was taken away: its word is void
        if outcome == "ok":
            self.change(job, status="succeeded")
        elif outcome == "snooze":
            self.change(job, status="scheduled", worker=None, due=self.now + 0.1)
        else:
            self.charge(job, "Discard" if outcome == "discard" else "ValueError", dead=outcome == "discard")
        return None

    def say(self, worker: Worker, run: Attempt, outcome: Any) -> None:
        self.handled.append(End(run.nonce, outcome, self.now))
        worker.runs.remove(run)

    def charge(self, job: Job, error: str, *, dead: bool = False, suspect: bool = False) -> None:
        self.failures.append(Failure(job.id, job.attempt, error, job.worker or 0))
        count = job.retry_count + 1
        status = "dead" if dead or count >= MAX_RETRIES else "scheduled"
        self.change(job, status=status, retry_count=count, worker=None, suspect=suspect, due=self.now + 0.1)

    def bury(self, worker: Worker, overdue: Job | None = None) -> None:
        """A process is gone: its supervisor charges who ran alone, or was stuck, and has the others suspected."""
        held = [run.job for run in worker.runs if run.held]
        for job in held:
            if job is overdue or (overdue is None and len(held) == 1):
                self.charge(job, "Timeout" if overdue else "Crash", suspect=True)
            else:
                self.change(job, status="queued", worker=None, suspect=job.suspect or overdue is None)
        self.workers.remove(worker)
        worker.runs = []
        if not worker.lone:
            self.workers.append(Worker(next(self.numbers), next(self.numbers) + 10_000, worker.node))

    def kill(self, worker: Worker) -> None:
        self.faults.append(Fault("worker-killed", "worker", [worker.pid], self.now, self.now + 0.01, worker.node))
        self.now += 0.1  # until its supervisor has seen it
        self.bury(worker)

    def freeze(self, node: str) -> Iterator[None]:
        """For 40 s; what runs there is given back as suspects after 17 s, and its own words come too late."""
        frozen = [worker for worker in self.workers if worker.node == node]
        begin, pids = self.now, [worker.pid for worker in frozen]
        for worker in frozen:
            worker.frozen = True
        yield
        self.now = begin + 17
        held = [run.job for worker in frozen for run in worker.runs]
        self.orphans += [Orphans(begin + 1 + second, [job.id for job in held]) for second in range(16)]
        self.orphans.append(Orphans(self.now + 0.5, []))
        for job in held:
            self.change(job, status="queued", worker=None, suspect=True)
        yield
        self.now = max(self.now, begin + 40)
        self.faults.append(Fault("node-frozen", node, pids, begin, self.now, node))
        for worker in frozen:
            worker.frozen = False
            for run in list(worker.runs):
                self.say(worker, run, "ok")
            worker.id = next(self.numbers)

    def crash(self) -> None:
        """Postgres loses its last claim: the same attempt is drawn again, by a new worker."""
        lost = self.changes.pop()
        job = next(job for job in self.jobs if job.id == lost.id)
        job.status, job.attempt, job.worker = "queued", job.attempt - 1, None
        self.faults.append(Fault("database-crashed", "database", [], self.now, self.now + 0.5))
        self.now += 0.5
        for worker in self.workers:
            worker.id = next(self.numbers)

    def records(self) -> dict[str, Any]:
        rows = [
            Row(j.id, j.n, j.do, j.sha, 1, j.priority, j.position, j.status, j.attempt, j.retry_count, MAX_RETRIES,
                j.suspect)
            for j in self.jobs
            if j.status
        ]  # fmt: skip
        return {
            "clients": self.clients,
            "handled": self.handled,
            "tables": Tables(rows, self.failures, self.changes),
            "faults": self.faults,
            "orphans": self.orphans,
        }
