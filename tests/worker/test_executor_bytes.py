"""Large events: what waits in a worker is bounded in bytes too."""

import asyncio

from v7_task_processor import Job
from v7_task_processor.worker.executor import BYTES_MAX, LARGE_BYTES

from .bench import Bench


async def forever(_: Job) -> None:
    await asyncio.Event().wait()


async def test_what_waits_claimed_is_bounded_in_bytes(bench: Bench) -> None:
    bench.handle(forever)
    bench.add(*range(4))
    bench.executor.pace.rate = 1e6
    bench.add(10, event_json="x" * (BYTES_MAX - 1))
    assert bench.executor.wanted() > 0
    bench.add(11, event_json="xx")
    assert bench.executor.wanted() == 0
    bench.executor.give_back()
    bench.executor.returned(2)
    bench.executor.pace.rate = 1e6
    assert bench.executor.wanted() > 0
    bench.executor.abandon()
    await bench.executor.quiet.wait()


async def test_no_more_is_claimed_before_large_events_start(bench: Bench) -> None:
    """Room for one more byte would lock a batch of rows for one of them."""
    bench.handle(forever)
    bench.executor.add([bench.job(1, event_json="x" * BYTES_MAX)], worker_id=9)
    assert bench.executor.wanted() == 0
    bench.executor.dispatch()
    assert bench.executor.wanted() > 0
    bench.executor.abandon()
    await bench.executor.quiet.wait()


async def test_the_word_about_a_large_event_is_small(bench: Bench) -> None:
    bench.handle(lambda job: None)
    bench.add(1, event_json="5" * LARGE_BYTES)
    bench.add(2, event_json="5" * (LARGE_BYTES - 1))
    await bench.executor.quiet.wait()
    assert {each.job.id: len(each.job.event_json) for each in bench.ended} == {1: 0, 2: LARGE_BYTES - 1}
