"""How attempts are ended, by their limit or by a drain; what never starts; and copies of the process."""

import asyncio
import gc
import os
import threading
import warnings
from pathlib import Path
from typing import Any

import psutil
import pytest

from v7_task_processor import Job, Snooze
from v7_task_processor.worker.attempt import Attempt
from v7_task_processor.worker.executor import BEAT_AGE_SECONDS_MAX, STALE_SECONDS
from v7_task_processor.worker.outcome import Ended, Release
from v7_task_processor.worker.slots import ENDED, STARTED, now, ns

from .bench import Bench, error_of


async def forever(_: Job) -> None:
    await asyncio.Event().wait()


async def turn() -> None:
    """Let the loop turn until all has happened that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("waits", [True, False])
async def test_what_has_ended_leaves_the_garbage_collector_no_work(bench: Bench, waits: bool) -> None:
    async def handler(_: Job) -> None:
        if waits:
            await asyncio.sleep(0)

    bench.handle(handler)
    gc.collect()
    gc.disable()
    try:
        await bench.run(*range(7000, 7020))
        await turn()
        left = [each for each in gc.get_objects() if type(each) is Attempt]  # those of other tests too
        assert not [each.job.id for each in left if each.job.id >= 7000]
    finally:
        gc.enable()


async def test_what_is_past_its_limit_is_cancelled_and_has_failed(bench: Bench) -> None:
    bench.handle(forever, 1)
    bench.handle(forever, 2, timeout_seconds=5)
    bench.add(1)
    bench.add(2, event_type_id=2)
    bench.live(5.1)
    bench.executor.watch()
    await turn()
    (ended,) = bench.ended
    assert ended.job.id == 2
    assert error_of(ended.outcome) == ("Timeout", "not done within 5 seconds")
    bench.live(55)
    bench.executor.watch()
    await bench.executor.quiet.wait()
    assert error_of(bench.outcomes()[1]) == ("Timeout", "not done within 60 seconds")
    assert bench.states() == [ENDED, ENDED]


@pytest.mark.fault(5)
async def test_time_in_which_all_of_the_node_stood_still_is_no_handlers(bench: Bench) -> None:
    bench.handle(forever)
    bench.add(1)
    bench.live(30)
    bench.time += 3600  # a laptop sleeps, a container is paused
    bench.executor.watch()  # the worker is the first to wake
    await turn()
    bench.notes.look()
    bench.executor.watch()
    await turn()
    assert bench.ended == []
    bench.live(31)
    bench.executor.watch()
    await bench.executor.quiet.wait()
    assert error_of(bench.outcomes()[0]) == ("Timeout", "not done within 60 seconds")


async def test_the_deadline_stands_where_the_supervisor_sees_it(bench: Bench) -> None:
    bench.handle(forever, timeout_seconds=2.5)
    bench.add(3)
    (note,) = bench.section.noted()
    assert (note.job_id, note.attempt, note.state) == (3, 1, STARTED)
    assert note.deadline == pytest.approx(bench.time + 2.5, abs=0.001)
    bench.executor.abandon()


@pytest.mark.fault(13)
@pytest.mark.parametrize("then", ["return", "raise", "snooze", "go on"])
async def test_a_handler_that_swallows_its_end_has_failed_all_the_same(bench: Bench, then: str) -> None:
    goes_on = asyncio.Event()

    async def stubborn(job: Job) -> Any:
        try:
            await forever(job)
        except asyncio.CancelledError:
            if then == "raise":
                raise ValueError("other") from None
            if then == "go on":
                await goes_on.wait()
        return Snooze(1) if then == "snooze" else None

    bench.handle(stubborn)
    bench.add(1)
    await turn()
    bench.live(61)
    for _ in range(3):
        bench.executor.watch()
        await turn()
    assert bool(bench.executor.running) == (then == "go on")
    goes_on.set()
    await bench.executor.quiet.wait()
    (outcome,) = bench.outcomes()
    assert error_of(outcome) == ("Timeout", "not done within 60 seconds")


async def test_a_handlers_own_timeout_is_its_own_affair(bench: Bench) -> None:
    async def careful(job: Job) -> None:
        try:
            async with asyncio.timeout(0):
                await forever(job)
        except TimeoutError:
            pass
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0

    bench.handle(careful)
    assert await bench.run(1) == [None]


async def test_a_thread_is_not_cancelled_and_its_late_end_counts(bench: Bench) -> None:
    release = threading.Event()
    bench.handle(lambda job: release.wait() and None)
    bench.add(1)
    bench.live(1000)
    bench.executor.watch()
    assert bench.ended == []
    release.set()
    await bench.executor.quiet.wait()
    assert bench.outcomes() == [None]


async def test_the_watch_shows_that_the_loop_turns(bench: Bench) -> None:
    bench.section.view[0] = 0
    bench.executor.watch()
    assert bench.section.tick_age_seconds() < 60


@pytest.mark.parametrize("by", ["watch", "dispatch"])
async def test_what_waited_too_long_in_the_buffer_goes_back_and_is_not_started(bench: Bench, by: str) -> None:
    first_ends = asyncio.Event()

    async def slow(_: Job) -> None:
        await first_ends.wait()

    bench.handle(slow)
    bench.add(*range(7))
    bench.time += STALE_SECONDS / 2
    bench.executor.watch()
    assert bench.ended == []
    bench.time += STALE_SECONDS
    if by == "watch":
        bench.executor.watch()
    first_ends.set()
    await bench.executor.quiet.wait()
    released = [each for each in bench.ended if each.outcome == Release()]
    assert [(each.job.id, each.slot) for each in released] == [(4, None), (5, None), (6, None)]
    assert sorted(each.job.id for each in bench.ended if each.outcome is None) == [0, 1, 2, 3]


async def test_what_is_held_is_what_waits_and_what_runs(bench: Bench) -> None:
    bench.handle(forever)
    bench.add(*range(6))
    assert bench.executor.holds() == {((job_id, 1), 9) for job_id in range(6)}
    bench.executor.drain()
    assert bench.executor.holds() == {((job_id, 1), 9) for job_id in range(4)}
    bench.executor.abandon()
    await bench.executor.quiet.wait()
    assert bench.executor.holds() == set()


async def test_without_a_free_slot_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, slots=2).on_its_clock(monkeypatch)
    bench.handle(forever)
    bench.add(1, 2, 3)
    assert len(bench.executor.running) == 2
    bench.executor.abandon()
    await bench.executor.quiet.wait()
    assert len(bench.ended) == 2
    bench.section.clear(bench.ended[0].slot or 0)
    bench.executor.dispatch()
    assert [each.job.id for each in bench.executor.running] == [3]
    bench.executor.abandon()


async def test_a_drain_starts_nothing_more_and_lets_end_what_runs(bench: Bench) -> None:
    ends = asyncio.Event()

    async def slow(_: Job) -> None:
        await ends.wait()

    bench.handle(slow)
    bench.add(*range(6))
    bench.executor.drain()
    assert bench.outcomes() == [Release(), Release()]
    bench.add(10, 11)
    assert bench.executor.wanted() == 0
    ends.set()
    await bench.executor.quiet.wait()
    assert sorted(each.job.id for each in bench.ended if each.outcome is None) == [0, 1, 2, 3]
    assert sorted(each.job.id for each in bench.ended if each.outcome == Release()) == [4, 5, 10, 11]


async def test_what_is_abandoned_is_released_once_whatever_its_handler_does_then(bench: Bench) -> None:
    release = threading.Event()
    bench.handle(forever, 1)
    bench.handle(lambda job: release.wait() and 1 / 0, 2)
    bench.add(1)
    bench.add(2, event_type_id=2)
    bench.executor.drain()
    bench.executor.abandon()
    bench.executor.abandon()
    await bench.executor.quiet.wait()
    assert bench.outcomes() == [Release()] * 2
    release.set()
    while bench.executor.threads.busy:
        await asyncio.sleep(0.001)
    assert len(bench.ended) == 2


async def test_what_is_abandoned_after_its_limit_has_failed(bench: Bench) -> None:
    async def stubborn(job: Job) -> None:
        try:
            await forever(job)
        except asyncio.CancelledError:
            await forever(job)

    bench.handle(stubborn)
    bench.add(1)
    await turn()
    bench.live(61)
    bench.executor.watch()
    await turn()
    bench.executor.abandon()
    await bench.executor.quiet.wait()
    (outcome,) = bench.outcomes()
    assert error_of(outcome)[0] == "Timeout"


@pytest.mark.fault(6)
async def test_nothing_is_claimed_by_a_node_that_could_not_say_that_it_lives(bench: Bench) -> None:
    assert bench.executor.wanted() == 4
    bench.notes.view[3] -= ns(BEAT_AGE_SECONDS_MAX + 1)
    assert bench.executor.wanted() == 0
    bench.notes.beat(now())
    assert bench.executor.wanted() == 4


@pytest.mark.fault(15)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_copy_that_a_handler_makes_of_the_process_says_nothing(
    bench: Bench, tmp_path: Path, is_async: bool
) -> None:
    said = tmp_path / "said"
    codes: list[int | None] = []

    def say(ended: Ended) -> None:
        with said.open("a") as file:
            file.write(f"{ended.job.id}\n")

    def fork(_: Job) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid:
            copy = psutil.Process(pid)
            try:
                codes.append(copy.wait(60))
            finally:
                if copy.is_running():
                    copy.kill()

    async def fork_async(job: Job) -> None:
        fork(job)

    bench.executor.on_end = say
    bench.handle(fork_async if is_async else fork)
    bench.add(7)
    await bench.executor.quiet.wait()
    assert codes == [1]
    assert said.read_text() == "7\n"
