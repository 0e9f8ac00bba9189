"""The spans of attempts, by a real SDK that keeps them in memory."""

import asyncio
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from v7_task_processor import Discard, Job, Snooze
from v7_task_processor.worker.outcome import Release, Void
from v7_task_processor.worker.spans import Spans, links_of

from .bench import Bench

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """A provider, and what it was given."""

    def __init__(self, bench: Bench) -> None:
        self.kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.kept))
        self.tracer = self.provider.get_tracer("handlers")
        bench.executor.spans = Spans(self.provider.get_tracer("v7"))

    def attempts(self) -> dict[str, ReadableSpan]:
        """By their jobs."""
        named = [span for span in self.kept.get_finished_spans() if span.name == "v7.attempt"]
        return {str(attributes(span)["messaging.message.id"]): span for span in named}

    def outcomes(self) -> dict[str, object]:
        return {job: attributes(span)["v7.outcome"] for job, span in self.attempts().items()}


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def collector(bench: Bench) -> Collector:
    return Collector(bench)


def traced(job_id: int, **fields: Any) -> Job:
    given: dict[str, Any] = {"traceparent": PARENT, "tracestate": "vendor=1", **fields}
    return Job(job_id, 3, 1, 1, 9, "{}", 2, 5, "request-1", 0.0, 0, 0.5, **given)


async def test_a_span_names_its_attempt_and_links_to_the_trace_of_the_sender(
    bench: Bench, collector: Collector
) -> None:
    async def handle(job: Job) -> None: ...

    bench.handle(handle)
    bench.take([traced(7)])
    span = collector.attempts()["7"]
    assert attributes(span) == {
        "messaging.system": "v7",
        "messaging.operation.name": "attempt",
        "messaging.operation.type": "process",
        "messaging.destination.name": "1",
        "messaging.message.id": "7",
        "messaging.message.conversation_id": "request-1",
        "v7.attempt": 3,
        "v7.priority": 9,
        "v7.retry_count": 2,
        "v7.outcome": "succeeded",
    }
    assert (span.kind, span.parent, span.status.status_code) == (SpanKind.CONSUMER, None, StatusCode.UNSET)
    (link,) = span.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" == PARENT[3:-3]
    assert link.context.trace_state.get("vendor") == "1"


@pytest.mark.parametrize("given", [None, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
def test_without_a_trace_there_is_no_link(given: str | None) -> None:
    assert links_of(traced(1, traceparent=given)) == []


async def test_what_handlers_trace_hangs_under_their_own_attempts(bench: Bench, collector: Collector) -> None:
    async def handle(job: Job) -> None:
        with collector.tracer.start_as_current_span(f"work of {job.id}"):
            await asyncio.sleep(0)
            await asyncio.to_thread(lambda: collector.tracer.start_span(f"thread of {job.id}").end())

    def handle_in_thread(job: Job) -> None:
        collector.tracer.start_span(f"work of {job.id}").end()

    bench.handle(handle, 1)
    bench.handle(handle_in_thread, 2)
    bench.add(1, 2, 3)
    bench.add(4, 5, 6, event_type_id=2)
    await bench.executor.quiet.wait()
    attempts = collector.attempts()
    spans = {span.name: span for span in collector.kept.get_finished_spans()}
    assert len({span.context.trace_id for span in attempts.values()}) == 6
    for job, attempt in attempts.items():
        work = spans[f"work of {job}"]
        assert work.parent is not None
        assert (work.parent.span_id, work.context.trace_id) == (attempt.context.span_id, attempt.context.trace_id)
    for job in "123":
        parent = spans[f"thread of {job}"].parent
        assert parent is not None
        assert parent.span_id == spans[f"work of {job}"].context.span_id
    assert not get_current_span().get_span_context().is_valid, "and nothing of them is left here"


async def test_outcomes_set_the_status_and_failures_are_told_with_their_tracebacks(
    bench: Bench, collector: Collector
) -> None:
    async def handle(job: Job) -> Any:
        if job.id == 1:
            raise LookupError("no such card")
        return {2: Discard("negative"), 3: Snooze(1), 4: None}[job.id]

    bench.handle(handle)
    await bench.run(1, 2, 3, 4)
    assert collector.outcomes() == {"1": "failed", "2": "discarded", "3": "snoozed", "4": "succeeded"}
    statuses = {job: (span.status.status_code, span.status.description) for job, span in collector.attempts().items()}
    assert statuses == {
        "1": (StatusCode.ERROR, "LookupError: no such card"),
        "2": (StatusCode.ERROR, "negative"),
        "3": (StatusCode.UNSET, None),
        "4": (StatusCode.UNSET, None),
    }
    (event,) = collector.attempts()["1"].events
    said = dict(event.attributes or {})
    assert (event.name, said["exception.type"], said["exception.message"]) == (
        *("exception", "LookupError", "no such card"),
    )
    assert "raise LookupError" in str(said["exception.stacktrace"])
    assert attributes(collector.attempts()["1"])["error.type"] == "LookupError"


async def test_who_is_ended_from_outside_has_its_span_too(bench: Bench, collector: Collector) -> None:
    async def handle(job: Job) -> None:
        await asyncio.Event().wait()

    bench.handle(handle, timeout_seconds=1)
    bench.add(1, 2, 3)
    first, second, third = sorted(bench.executor.running, key=lambda attempt: attempt.job.id)
    first.cancel(Void())
    second.cancel(Release())
    bench.live(2)
    bench.executor.watch()
    await bench.executor.quiet.wait()
    assert third.ended
    assert collector.outcomes() == {"1": "taken away", "2": "released", "3": "failed"}
    assert attributes(collector.attempts()["3"])["error.type"] == "Timeout"


class Broken(SpanProcessor):
    """As a user's own may be."""

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        raise ValueError("it breaks as a span starts")

    def on_end(self, span: ReadableSpan) -> None:
        raise ValueError("it breaks as a span ends")


async def test_what_breaks_in_the_collector_fails_no_attempt(bench: Bench, collector: Collector) -> None:
    async def handle(job: Job) -> None: ...

    collector.provider.add_span_processor(Broken())
    bench.handle(handle)
    assert await bench.run(1, 2) == [None, None]
