"""Order across what goes back: the better job first, also where it was claimed too early."""

import asyncio
from pathlib import Path

import pytest

from v7_task_processor import Job
from v7_task_processor.worker.executor import DISPATCH_SECONDS_MAX, STALE_SECONDS
from v7_task_processor.worker.outcome import Release

from .bench import Bench


async def test_what_is_claimed_while_better_jobs_go_back_goes_back_as_well(bench: Bench) -> None:
    """A claim was on its way when the buffer went stale: it brings what stands behind in the queue."""
    first_ends = asyncio.Event()

    async def slow(_: Job) -> None:
        await first_ends.wait()

    bench.handle(slow)
    bench.add(*range(6))
    bench.time += 2 * STALE_SECONDS
    bench.executor.watch()
    assert [each.job.id for each in bench.ended] == [4, 5]
    assert bench.executor.wanted() == 0
    bench.add(6, 7)
    assert [(each.job.id, each.outcome) for each in bench.ended[2:]] == [(6, Release()), (7, Release())]
    first_ends.set()
    await bench.executor.quiet.wait()
    assert bench.executor.wanted() == 0
    bench.executor.returned(4)
    assert bench.executor.wanted() > 0


async def test_buffered_jobs_start_when_slots_come_free(bench: Bench) -> None:
    """What has ended and is not written yet keeps its slot; when it is written, the next one starts."""

    async def quick(_: Job) -> None:
        pass

    bench.handle(quick)
    bench.section.free[:] = bench.section.free[:2]
    bench.add(1, 2, 3)
    await bench.executor.quiet.wait()
    assert [each.job.id for each in bench.ended] == [1, 2]
    for ended in bench.ended[:]:
        assert ended.slot is not None
        bench.section.clear(ended.slot)
    bench.executor.dispatch()
    await bench.executor.quiet.wait()
    assert [each.job.id for each in bench.ended] == [1, 2, 3]


async def test_handlers_that_never_wait_hold_the_loop_for_a_moment_however_many_ask(bench: Bench) -> None:
    async def long(_: Job) -> None:
        bench.time += 2 * DISPATCH_SECONDS_MAX

    bench.handle(long)
    bench.add(*range(10))
    for _ in range(3):
        bench.executor.dispatch_soon()
        bench.executor.dispatch()
    assert len(bench.ended) == 1
    for turn in (2, 3):
        await asyncio.sleep(0)
        assert len(bench.ended) == turn
    await bench.executor.quiet.wait()
    while len(bench.ended) < 10:
        await asyncio.sleep(0)
    assert [each.job.id for each in bench.ended] == list(range(10))


async def test_nothing_is_claimed_while_no_slot_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while a standby is missing: what ended is not written, and what would be claimed could only go back."""
    bench = Bench(tmp_path, slots=4).on_its_clock(monkeypatch)
    bench.handle(lambda job: None)
    assert bench.executor.wanted() == 4
    await bench.run(1, 2, 3, 4)
    assert bench.executor.wanted() > 0, "in a drain slots are taken for a moment only"
    bench.executor.started_at -= 2 * STALE_SECONDS
    assert bench.executor.wanted() == 0
    assert bench.ended[0].slot is not None
    bench.section.clear(bench.ended[0].slot)
    assert bench.executor.wanted() > 0
