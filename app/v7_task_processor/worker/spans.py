"""A span for each attempt: linked to the trace of who sent the event, and above all spans that the handler makes.

Linked, and no child of it, as the conventions for messages have it: an attempt may run days after its event was sent,
and ten thousand events may come from one request.
"""

from typing import TYPE_CHECKING

from ..job import Discard, Job, Snooze
from ..observability import logs
from ..observability.seldom import Seldom
from .outcome import Failed, Outcome, Release

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

log = logs.get(__name__)
DESCRIPTION_CHARS_MAX = 200


class Spans:
    """Makes them. What fails in it (a span processor of the user's) is logged, and fails no attempt."""

    def __init__(self, tracer: "Tracer") -> None:
        self.tracer, self.seldom = tracer, Seldom()

    def begin(self, job: Job) -> "AttemptSpan | None":
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind

        try:
            span = self.tracer.start_span(
                "v7.attempt", Context(), SpanKind.CONSUMER, attributes_of(job), links=links_of(job)
            )
        except Exception as error:
            self.failed(error)
            return None
        return AttemptSpan(self, span)

    def failed(self, error: Exception) -> None:
        if self.seldom.allows(error):
            log.warning("a span was lost", error=f"{type(error).__name__}: {error}")


class AttemptSpan:
    """The span of one attempt."""

    __slots__ = ("span", "spans", "trace_id")

    def __init__(self, spans: Spans, span: "Span") -> None:
        self.spans, self.span = spans, span
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def enter(self) -> None:
        """Have what is traced in this context, which is the attempt's own, hang under it."""
        from opentelemetry.context import attach
        from opentelemetry.trace import set_span_in_context

        attach(set_span_in_context(self.span))

    def end(self, outcome: Outcome | None) -> None:
        """None: it succeeded."""
        try:
            self.span.set_attribute("v7.outcome", named(outcome))
            if isinstance(outcome, Failed):
                self.fail(outcome)
            elif isinstance(outcome, Discard):
                self.mark("Discard", str(outcome.reason))
            self.span.end()
        except Exception as error:
            self.spans.failed(error)

    def fail(self, failed: Failed) -> None:
        error_type, message, traceback = failed.error
        said = {"exception.type": error_type, "exception.message": message, "exception.stacktrace": traceback}
        self.span.add_event("exception", said)
        self.mark(error_type, f"{error_type}: {message}")

    def mark(self, error_type: str, says: str) -> None:
        from opentelemetry.trace import StatusCode

        self.span.set_attribute("error.type", error_type)
        self.span.set_status(StatusCode.ERROR, says[:DESCRIPTION_CHARS_MAX])


def attributes_of(job: Job) -> dict[str, str | int]:
    """By the semantic conventions for messaging, and what they have no name for."""
    return {
        "messaging.system": "v7",
        "messaging.operation.name": "attempt",
        "messaging.operation.type": "process",
        "messaging.destination.name": str(job.event_type_id),
        "messaging.message.id": str(job.id),
        "messaging.message.conversation_id": job.correlation_id,
        "v7.attempt": job.attempt,
        "v7.priority": job.priority,
        "v7.retry_count": job.retry_count,
    }


def links_of(job: Job) -> "list[Link]":
    """To the trace of who sent it, if it came with one."""
    if job.traceparent is None:
        return []
    from opentelemetry.trace import Link, get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": job.traceparent, "tracestate": job.tracestate or ""}
    sender = get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()
    return [Link(sender)] if sender.is_valid and sender.is_remote else []


def named(outcome: Outcome | None) -> str:
    if outcome is None:
        return "succeeded"
    if isinstance(outcome, Failed):
        return "failed"
    if isinstance(outcome, Discard):
        return "discarded"
    if isinstance(outcome, Snooze):
        return "snoozed"
    return "released" if isinstance(outcome, Release) else "taken away"
