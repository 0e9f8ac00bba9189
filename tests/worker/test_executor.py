"""How attempts run and end. Real handlers, threads and memory; the clock is the test's."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from v7_task_processor import Discard, Job, Snooze
from v7_task_processor.job import decode
from v7_task_processor.observability import telemetry
from v7_task_processor.observability.journal import running
from v7_task_processor.worker.outcome import Release
from v7_task_processor.worker.slots import ENDED, SUCCEEDED

from .bench import Bench, error_of

Body = Callable[[Job], Any]


def as_def(body: Body) -> Body:
    return lambda job: body(job)


def as_async(body: Body) -> Body:
    async def handler(job: Job) -> Any:
        return body(job)

    return handler


def as_late_async(body: Body) -> Body:
    async def handler(job: Job) -> Any:
        await asyncio.sleep(0)
        return body(job)

    return handler


kinds = pytest.mark.parametrize("kind", [as_def, as_async, as_late_async])


@kinds
async def test_a_handler_that_returns_has_succeeded(bench: Bench, kind: Callable[[Body], Body]) -> None:
    seen: list[tuple[int, Any]] = []
    bench.handle(kind(lambda job: seen.append((job.id, running.get()))))
    assert await bench.run(7) == [None]
    (ended,) = bench.ended
    assert [(job_id, attempt.job) for job_id, attempt in seen] == [(7, ended.job)]
    assert (ended.job.id, ended.worker_id) == (7, 9)
    assert bench.states() == [SUCCEEDED]
    assert running.get() is None


class Odd(BaseException):
    pass


@kinds
@pytest.mark.parametrize(
    "error", [ValueError, asyncio.CancelledError, SystemExit, KeyboardInterrupt, TimeoutError, GeneratorExit, Odd]
)
@pytest.mark.fault(9, 10)
async def test_whatever_a_handler_raises_is_a_failure(
    bench: Bench, kind: Callable[[Body], Body], error: type[BaseException]
) -> None:
    def fail(job: Job) -> None:
        raise error("of mine")

    bench.handle(kind(fail))
    (outcome,) = await bench.run(1)
    assert error_of(outcome) == (error.__name__, "of mine")
    assert "in fail" in outcome.error.traceback
    assert "v7_task_processor" not in outcome.error.traceback
    assert bench.states() == [ENDED]
    assert bench.executor.holds() == set()


@pytest.mark.fault(10)
async def test_stop_iteration_is_a_failure_too(bench: Bench) -> None:
    bench.handle(lambda job: next(iter([])))
    bench.handle(as_async(lambda job: next(iter([]))), 2)
    bench.add(2, event_type_id=2)
    await bench.run(1)
    assert {error_of(outcome)[0] for outcome in bench.outcomes()} == {"StopIteration", "RuntimeError"}


@kinds
@pytest.mark.parametrize("answer", [Snooze(0), Snooze(2.5), Snooze(10**9), Discard("bad"), None, 7, False])
async def test_answers_mean_what_they_say(bench: Bench, kind: Callable[[Body], Body], answer: Any) -> None:
    bench.handle(kind(lambda job: answer))
    assert await bench.run(1) == [answer if isinstance(answer, Snooze | Discard) else None]
    assert bench.states() == [ENDED if isinstance(answer, Snooze | Discard) else SUCCEEDED]


class Unspeakable:
    def __str__(self) -> str:
        raise LookupError("no words")

    __repr__ = __str__


class Elusive:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise LookupError("no class")


@kinds
@pytest.mark.parametrize(
    ("answer", "error_type", "message"),
    [
        (Snooze(float("nan")), "TypeError", "Snooze(nan): it takes a number of seconds, from 0 to 100 years"),
        (Snooze(-1), "TypeError", "Snooze(-1): it takes"),
        (Snooze(float("inf")), "TypeError", "Snooze(inf): it takes"),
        (Snooze(1e300), "TypeError", "Snooze(1e+300): it takes"),
        (Snooze(10**400), "TypeError", "Snooze(1000"),
        (Snooze("60"), "TypeError", "Snooze('60'): it takes"),  # type: ignore[arg-type]
        (Snooze(None), "TypeError", "Snooze(None): it takes"),  # type: ignore[arg-type]
        (Snooze(10**5000), "ValueError", "Exceeds the limit"),
        (Snooze, "TypeError", "the handler returned the class Snooze: return Snooze(...)"),
        (Discard, "TypeError", "the handler returned the class Discard: return Discard(...)"),
        (Discard(Unspeakable()), "LookupError", "no words"),  # type: ignore[arg-type]
        (Snooze(Unspeakable()), "LookupError", "no words"),  # type: ignore[arg-type]
    ],
)
async def test_an_answer_that_makes_no_sense_is_a_failure(
    bench: Bench, kind: Callable[[Body], Body], answer: Any, error_type: str, message: str
) -> None:
    bench.handle(kind(lambda job: answer))
    (outcome,) = await bench.run(1)
    assert error_of(outcome)[0] == error_type
    assert error_of(outcome)[1].startswith(message)


@kinds
async def test_an_answer_that_will_not_be_looked_at_is_a_failure(bench: Bench, kind: Callable[[Body], Body]) -> None:
    bench.handle(kind(lambda job: Elusive()))
    (outcome,) = await bench.run(1)
    assert error_of(outcome) == ("LookupError", "no class")


async def test_a_reason_may_be_an_exception(bench: Bench) -> None:
    bench.handle(lambda job: Discard(ValueError("negative")))  # type: ignore[arg-type]
    assert await bench.run(1) == [Discard("negative")]


def concluded() -> asyncio.Future[None]:
    loop = asyncio.new_event_loop()
    try:
        return loop.create_future()
    finally:
        loop.close()


async def endless() -> AsyncIterator[None]:
    yield


UNFINISHED: dict[str, tuple[Callable[[], Any], str]] = {
    "a coroutine": (lambda: asyncio.sleep(0), "a coroutine, of which nothing has run: await it, in `async def`"),
    "a future": (concluded, "a Future, which may not have ended: await it, in `async def`"),
    "a generator": (lambda: (each for each in "x"), "a generator, of which nothing has run: write it without yield"),
    "an async generator": (endless, "a generator, of which nothing has run: write it without yield"),
}


@kinds
@pytest.mark.parametrize("case", UNFINISHED)
async def test_an_answer_of_which_nothing_has_run_is_no_success(
    bench: Bench, kind: Callable[[Body], Body], case: str
) -> None:
    answer, says = UNFINISHED[case]
    bench.handle(kind(lambda job: answer()))
    (outcome,) = await bench.run(1)
    assert error_of(outcome) == ("TypeError", f"the handler returned {says}")


async def test_event_data_that_cannot_be_decoded_fails_its_own_job_alone(bench: Bench) -> None:
    bench.handle(lambda job: decode("1" * 5000) if job.id == 1 else None)
    outcomes = await bench.run(1, 2)
    assert sorted(outcome is None for outcome in outcomes) == [False, True]


@pytest.mark.parametrize("kind", [as_def, as_late_async])
async def test_never_more_at_once_than_allowed_and_all_of_it(bench: Bench, kind: Callable[[Body], Body]) -> None:
    count: Counter[str] = Counter()
    lock = threading.Lock()

    def work(job: Job) -> None:
        with lock:
            count["now"] += 1
            count["most"] = max(count["most"], count["now"])
        threading.Event().wait(0.001)
        with lock:
            count["now"] -= 1

    bench.handle(kind(work))
    bench.add(*range(100))
    assert len(bench.executor.running) == 4
    assert await bench.run() == [None] * 100
    assert 1 <= count["most"] <= 4
    assert Counter(each.job.id for each in bench.ended) == Counter(range(100))


async def test_a_job_of_a_type_without_a_handler_goes_back(bench: Bench) -> None:
    bench.add(1)
    (ended,) = bench.ended
    assert (ended.outcome, ended.slot) == (Release(), None)


async def test_how_long_jobs_waited_and_ran_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_subscribers", [])
    told: list[object] = []
    telemetry.subscribe(lambda event, fields: told.append((event, dict(fields))))

    async def handler(job: Job) -> None:
        bench.time += 2.5

    bench.handle(handler)
    await bench.run(1)
    bench.executor.tell_waits()
    bench.executor.tell_waits()
    assert told == [("jobs.started", {"waits": [0.5]})]
    assert bench.ended[0].seconds == 2.5


async def test_what_waits_claimed_for_a_free_place_has_waited_for_that_too(bench: Bench) -> None:
    gate = asyncio.Event()

    async def handler(job: Job) -> None:
        await gate.wait()

    bench.handle(handler)
    bench.add(*range(5))
    bench.time += 0.05
    gate.set()
    await bench.run()
    assert bench.executor.waits == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.55])
