"""Where claims look: the best first, nothing forgotten, whatever happens in between."""

import random
from collections import Counter

import pytest

from v7_task_processor import database, queue
from v7_task_processor.job import Job
from v7_task_processor.queue import BEGINNING, FIRST, LAST, Claim, Connection, Enqueued, Failure, Frontier
from v7_task_processor.worker.frontier import LAG_SECONDS, PLAIN_SECONDS_MAX, PLAIN_SHARE, Cursor
from v7_task_processor.worker.session import CLAIMS

from ..support import EVERYTHING, event, rows, worker

PRIORITIES = [FIRST, -1, 0, 0, 0, 1, 2, LAST]
TICKS = [0.0, 0.001, 0.03, LAG_SECONDS, 0.3]


class Claimer:
    """A worker's claiming, on a clock that its test sets."""

    def __init__(self, connection: Connection, worker_id: int) -> None:
        self.connection, self.worker_id = connection, worker_id
        self.cursor, self.served = Cursor(), EVERYTHING._replace(max_retries=10_000)

    async def claim(self, batch: int, time: float, bytes_max: int = LAST) -> Claim:
        looked = self.cursor.next(time)
        claim = await queue.claim(self.connection, self.worker_id, batch, looked, self.served, bytes_max)
        self.cursor.took(looked, claim, time, time + 0.002)
        order = [(job.priority, job._position) for job in claim.jobs]
        assert order == sorted(order)
        return claim


@pytest.fixture
async def claimer(connection: Connection) -> Claimer:
    for name, value in CLAIMS.items():
        await connection.execute("select set_config(%s, %s, false)", [name, value])
    return Claimer(connection, await worker(connection))


def events(chance: random.Random) -> list[Enqueued]:
    return [event(chance.choice(PRIORITIES)) for _ in range(chance.randint(1, 12))]


@pytest.mark.parametrize("seed", range(4))
async def test_one_worker_takes_exactly_the_best_that_there_are(claimer: Claimer, seed: int) -> None:
    chance, time = random.Random(seed), 0.0
    waiting: list[tuple[int, int]] = []
    for _ in range(150):
        time += chance.choice(TICKS)
        if chance.random() < 0.4:
            sent = events(chance)
            ids = await queue.enqueue(claimer.connection, sent)
            waiting += zip((each.priority for each in sent), ids, strict=True)  # ids grow as positions do
        else:
            batch, few = chance.randint(1, 10), chance.choice([2, 10])  # events of two bytes, and one that says so
            claim = await claimer.claim(batch, time, bytes_max=3 * few)
            waiting.sort()
            count = min(batch, few)
            assert [(job.priority, job.id) for job in claim.jobs] == waiting[:count]
            assert claim.more == (len(waiting) > count or count == batch <= len(waiting))
            del waiting[:count]


class Chaos:
    """Two workers and senders whose commits may come late; what each job has been through."""

    def __init__(self, claimers: list[Claimer], sender: Connection, seed: int) -> None:
        self.claimers, self.sender = claimers, sender
        self.chance, self.time = random.Random(seed), 0.0
        self.running: list[tuple[Claimer, Job]] = []
        self.claims: Counter[int] = Counter()
        self.put_back: Counter[int] = Counter()
        self.sent: set[int] = set()
        self.late = False

    async def step(self) -> None:
        self.time += self.chance.choice(TICKS)
        await self.chance.choice([self.send, self.begin, self.commit, self.claim, self.claim, self.end, self.end])()

    async def send(self) -> None:
        """On the late one's connection while it is open, so that some commit soon and some late."""
        connection = self.sender if self.chance.random() < 0.5 else self.claimers[0].connection
        self.sent.update(await queue.enqueue(connection, events(self.chance)))

    async def begin(self) -> None:
        if not self.late:
            await self.sender.execute("begin")
            self.late = True

    async def commit(self) -> None:
        if self.late:
            await self.sender.execute("commit")
            self.late = False

    async def claim(self) -> None:
        claimer = self.chance.choice(self.claimers)
        for job in (await claimer.claim(self.chance.randint(1, 8), self.time)).jobs:
            self.claims[job.id] += 1
            assert job.attempt == self.claims[job.id] == 1 + self.put_back[job.id]
            self.running.append((claimer, job))

    async def end(self) -> None:
        self.chance.shuffle(self.running)
        for _ in range(min(4, len(self.running))):
            claimer, job = self.running.pop()
            connection, held = claimer.connection, (job.id, job.attempt)
            match self.chance.choice(["complete", "complete", "release", "fail"]):
                case "complete":
                    assert await queue.complete(connection, claimer.worker_id, [held], kept=True) == 1
                case "release":
                    assert await queue.release(connection, claimer.worker_id, [held]) == 1
                    self.put_back[job.id] += 1
                    if self.chance.random() < 0.5:  # a worker knows what it released, and not what others did
                        claimer.cursor.look_back([job])
                case "fail":
                    assert await queue.fail(connection, claimer.worker_id, "w", [Failure(*held, 0, "E", "m")])
                    self.put_back[job.id] += 1


@pytest.mark.fault(39)
@pytest.mark.parametrize("seed", range(4))
async def test_two_workers_take_every_job_as_often_as_they_should(
    claimer: Claimer, database_url: str, seed: int
) -> None:
    async with await database.connect(database_url) as sender, await database.connect(database_url, CLAIMS) as second:
        chaos = Chaos([claimer, Claimer(second, await worker(second))], sender, seed)
        for _ in range(250):
            await chaos.step()
        await chaos.commit()
        for _ in range(10_000):
            if await rows(second, "select count(*) from v7.jobs") == [(0,)]:
                break
            chaos.time += PLAIN_SECONDS_MAX / 4
            await chaos.claim()
            await chaos.end()
        assert await rows(second, "select count(*) from v7.jobs") == [(0,)]
        finished = await rows(second, "select id, attempt from v7.finished_jobs")
    assert dict(finished) == dict(chaos.claims)
    assert chaos.claims.keys() == chaos.sent
    assert sum(chaos.put_back.values()) > 20


@pytest.mark.fault(39)
async def test_what_committed_late_is_found_by_the_next_plain_claim(claimer: Claimer, database_url: str) -> None:
    async with await database.connect(database_url) as sender:
        await sender.execute("begin")
        (late,) = await queue.enqueue(sender, [event(-5)])
        for time in (0.0, 0.5, 0.501):
            await queue.enqueue(claimer.connection, [event()])
            assert len((await claimer.claim(10, time)).jobs) == 1
        await sender.execute("commit")
    assert claimer.cursor.next(0.502) != BEGINNING
    assert (await claimer.claim(10, 0.502)).jobs == []  # it is behind the horizon: the price that design has named
    due = claimer.cursor.plain_at
    assert due <= 0.502 + PLAIN_SECONDS_MAX
    assert [job.id for job in (await claimer.claim(10, due)).jobs] == [late]


def taken(count: int, priority: int = 0, last_position: int = 100, *, more: bool = True) -> Claim:
    jobs = [Job(1, 1, 1, 1, priority, "", 0, 0, "", 0.0, position) for position in range(1, count + 1)]
    return Claim(True, last_position, jobs, more)


def test_the_first_claim_and_each_after_a_while_looks_everywhere() -> None:
    cursor = Cursor()
    assert cursor.next(5.0) == BEGINNING
    cursor.took(BEGINNING, taken(3), 5.0, 5.01)
    assert cursor.next(5.01 + PLAIN_SHARE * 0.01 - 0.001) != BEGINNING
    assert cursor.next(5.01 + PLAIN_SHARE * 0.01 + 0.001) == BEGINNING
    cursor.took(BEGINNING, taken(3), 6.0, 8.0)
    assert cursor.next(8.0 + PLAIN_SECONDS_MAX + 0.001) == BEGINNING


def test_asked_to_look_everywhere_it_does_so_once() -> None:
    cursor = Cursor()
    cursor.took(BEGINNING, taken(3), 5.0, 5.01)
    cursor.look_everywhere()
    assert cursor.next(5.01) == BEGINNING
    cursor.took(BEGINNING, taken(3), 5.01, 5.02)
    assert cursor.next(5.03) != BEGINNING


def test_it_looks_back_to_the_best_of_what_was_put_back_and_no_further() -> None:
    cursor = Cursor()
    cursor.took(BEGINNING, taken(9, priority=7), 5.0, 5.01)
    put_back = taken(9, priority=7).jobs
    cursor.look_back(put_back[4:6])
    cursor.look_back(put_back[7:])
    assert cursor.next(5.02) == Frontier(7, 4, -1)
    assert cursor.next(5.02) == Frontier(7, 4, -1), "until it is told what was there"
    cursor.took(cursor.frontier, taken(2, priority=8), 5.02, 5.03)
    assert cursor.next(5.03) == Frontier(8, 2, -1)


def test_what_is_put_back_while_a_claim_runs_is_not_passed_over() -> None:
    cursor = Cursor()
    looked = cursor.next(5.0)
    cursor.look_back(taken(1, priority=3).jobs)
    cursor.took(looked, taken(9, priority=7), 5.0, 5.01)
    assert cursor.next(5.02) == Frontier(3, 0, -1)
    looked = cursor.next(6.0)
    assert looked == BEGINNING
    cursor.look_everywhere()
    cursor.took(looked, taken(9, priority=7), 6.0, 6.01)
    assert cursor.next(6.02) == BEGINNING


def test_the_frontier_is_the_last_row_taken_or_the_end() -> None:
    cursor = Cursor()
    cursor.took(BEGINNING, taken(3, priority=7), 0.0, 0.001)
    assert cursor.frontier == Frontier(7, 3, -1)
    cursor.took(cursor.frontier, taken(2, priority=7, more=False), 0.01, 0.011)
    assert cursor.frontier == Frontier(LAST, LAST, -1)


def test_a_look_at_everything_that_takes_long_is_not_made_again_at_once() -> None:
    cursor = Cursor()
    cursor.begin(4.99, 40)
    cursor.took(BEGINNING, taken(3, priority=7, last_position=50), 5.0, 5.0 + 2 * LAG_SECONDS)
    assert cursor.next(5.5) == Frontier(7, 3, 40)
    quick = Cursor()
    quick.begin(4.99, 40)
    quick.took(BEGINNING, taken(3, priority=7, last_position=50), 5.0, 5.01)
    assert quick.next(5.02) == Frontier(7, 3, -1)


def test_the_horizon_lags_and_stays_while_better_rows_fill_the_claims() -> None:
    cursor = Cursor()
    cursor.took(BEGINNING, taken(3, 0, last_position=50), 1.0, 1.001)
    cursor.took(cursor.frontier, taken(3, 0, last_position=60), 1.001 + LAG_SECONDS / 2, 1.06)
    assert cursor.frontier.horizon == -1
    cursor.took(cursor.frontier, taken(3, 0, last_position=70), 1.002 + LAG_SECONDS, 1.11)
    assert cursor.frontier.horizon == 50
    before = cursor.frontier
    cursor.took(before, taken(3, -1, last_position=80), 9.0, 9.001)
    assert cursor.frontier == before
    cursor.took(before, taken(3, 0, last_position=90), 10.0, 10.001)
    assert cursor.frontier.horizon == 80
