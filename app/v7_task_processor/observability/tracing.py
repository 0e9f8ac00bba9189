"""Traces, by the OpenTelemetry API: who collects spans in this process.

Nothing of OpenTelemetry is imported before it is known that spans are wanted: importing its API alone takes 25 ms, and
a span that nobody collects 12 µs, half of what a job costs a worker.
"""

import contextlib
import os
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import logs

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logs.get(__name__)
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SHUT_DOWN_SECONDS_MAX = 1.0


def tracer() -> "Tracer | None":
    """What makes this process's spans; None: nobody wants them. Call it when the handlers are loaded: what they have
    set up comes before what the environment says."""
    if collector() is None and asked():
        set_up()
    if collector() is None:
        return None
    from opentelemetry import trace

    return trace.get_tracer("v7_task_processor")


def collector() -> Any:
    """The SDK, or what else was set to take spans: by us, the handlers, or opentelemetry-instrument."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider) else provider


def asked() -> bool:
    """Whether the environment asks for spans to be sent, in the words of OpenTelemetry."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return os.environ.get("OTEL_TRACES_EXPORTER") in (None, "", "otlp") and any(map(os.environ.get, ENDPOINTS))


def set_up() -> None:
    """Have spans sent to the endpoint. All other OTEL_… variables the SDK reads by itself."""
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=Resource.create({} if named() else {"service.name": "v7"}))
        provider.add_span_processor(BatchSpanProcessor(exporter()))
    except ImportError as error:
        log.warning(
            "no traces are sent: an OTLP endpoint is set, but what sends them is not installed",
            missing=error.name,
            install="pip install 'v7-task-processor[otel]'",
        )
    except Exception as error:  # a variable that says what makes no sense; no reason not to work
        log.warning("no traces are sent: OpenTelemetry refuses its settings", error=str(error))
    else:
        trace.set_tracer_provider(provider)


def exporter() -> Any:
    asked = next(filter(None, map(os.environ.get, PROTOCOLS)), "")
    protocol = "grpc" if asked == "grpc" else "http"
    return import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter").OTLPSpanExporter()


def named() -> bool:
    """Whether the environment says what this service is called."""
    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes


def shut_down() -> None:
    """Have what was collected sent, within a moment; before an end that does not do it by itself."""
    shutdown = getattr(collector(), "shutdown", None)
    if shutdown is not None:
        with contextlib.suppress(RuntimeError):  # no thread is left
            sending = threading.Thread(target=shutdown, name="traces", daemon=True)
            sending.start()
            sending.join(SHUT_DOWN_SECONDS_MAX)
