"""Traces of real nodes: kept with the job, linked by its attempts, sent by OTLP; nothing where nobody wants them."""

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

import psycopg

from .nodes import EVENT, enqueue, jobs, node, post, wait_for_end, wait_until
from .otlp import Receiver, attribute

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-11111111111111111111111111111111-2222222222222222-00"
TRACES = """
import logging
from opentelemetry import trace

@handler(1, max_retries=1)
async def handle(job):
    with trace.get_tracer("shop").start_as_current_span("charge"):
        logging.getLogger("shop").warning("charging")
        if job.event_data:
            raise LookupError("no such card")
"""
COLLECTS = """
import json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class ToFile(SpanExporter):
    def export(self, spans):
        with open("spans.txt", "a") as file:
            file.writelines(span.name + "\\n" for span in spans)
        return SpanExportResult.SUCCESS

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ToFile()))
trace.set_tracer_provider(provider)

@handler()
def handle(job): ...
"""
LOOKS = """
import sys

@handler()
async def handle(job):
    if any(name.startswith("opentelemetry") for name in sys.modules):
        raise AssertionError("OpenTelemetry was imported")
"""
NOT_INSTALLED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
"""


def test_from_the_senders_trace_to_the_handlers_spans(database_url: str, tmp_path: Path) -> None:
    """They are collected for a minute: so it is the end of the worker that sends them, in order."""
    given: dict[str, Any] = {
        "OTEL_BSP_SCHEDULE_DELAY": 60_000,
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_SERVICE_NAME": "shop",
    }
    with Receiver() as receiver:
        given["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.url
        with node(tmp_path / "node", database_url, "run", TRACES, **given) as one:
            address = one.address()
            assert post(address, EVENT, traceparent=PARENT, tracestate="vendor=1")[0] == 200
            batch = [{**EVENT, "event_data": [1]}, EVENT]
            connection = http.client.HTTPConnection(*address, timeout=20)
            headers = {"Content-Type": "application/json", "traceparent": OTHER}
            connection.request("POST", "/api/event/v1/batch", json.dumps(batch), headers)
            assert connection.getresponse().status == 200
            connection.close()
            wait_for_end(database_url)
            assert one.stop() == 0
        said = one.said()
        wait_until(lambda: len(receiver.spans("v7.attempt")) == 3, "what it has sent is read")
    assert jobs(database_url, "traceparent, tracestate") == [(PARENT, "vendor=1"), (OTHER, None), (OTHER, None)]
    attempts = {attribute(span, "messaging.message.id"): span for span in receiver.spans("v7.attempt")}
    ids = [str(job_id) for (job_id,) in jobs(database_url, "id")]
    assert sorted(map(str, attempts)) == ids
    assert receiver.services() == {"shop"}
    parents = dict(zip(ids, [PARENT, OTHER, OTHER], strict=True))
    for job_id, span in attempts.items():
        assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == [
            tuple(parents[str(job_id)].split("-")[1:3])
        ]
    outcomes = [attribute(attempts[job_id], "v7.outcome") for job_id in ids]
    assert outcomes == ["succeeded", "failed", "succeeded"]
    charges = {(span.trace_id, span.parent_span_id) for span in receiver.spans("charge")}
    assert charges == {(span.trace_id, span.span_id) for span in attempts.values()}
    for span in attempts.values():
        assert f"trace_id={span.trace_id.hex()}" in said, "a log line leads to its trace"


def test_a_receiver_that_never_answers_does_not_hold_up_the_end(database_url: str, tmp_path: Path) -> None:
    """A worker has a second to send what it has collected, however long the exporter would wait."""
    enqueue(database_url, {})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        given: dict[str, Any] = {
            "OTEL_BSP_SCHEDULE_DELAY": 60_000,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": 60,
            "V7_SHUTDOWN_SECONDS": 60,
        }
        with node(tmp_path / "node", database_url, **given) as one:
            wait_for_end(database_url)
            assert one.stop(15) == 0
            silent.accept()[0].close()  # it has tried
    assert jobs(database_url, "status") == [("succeeded",)]


def test_a_collector_that_the_handlers_set_up_is_used(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {}, count=2)
    with (
        Receiver() as receiver,
        node(tmp_path / "node", database_url, handlers=COLLECTS, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url) as one,
    ):
        wait_for_end(database_url)
        assert one.stop() == 0
    assert (one.folder / "spans.txt").read_text() == 2 * "v7.attempt\n"
    assert receiver.requests == []


def test_where_nobody_collects_spans_nothing_of_it_is_imported(database_url: str, tmp_path: Path) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '{}', traceparent => %s)", [PARENT])
    with node(tmp_path / "node", database_url, handlers=LOOKS) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    assert jobs(database_url, "status, traceparent") == [("succeeded", PARENT)]


def test_what_is_not_installed_is_told_and_hinders_nothing(database_url: str, tmp_path: Path) -> None:
    enqueue(database_url, {})
    (tmp_path / "instead").mkdir()
    (tmp_path / "instead" / "sitecustomize.py").write_text(NOT_INSTALLED)
    path = os.pathsep.join(filter(None, [str(tmp_path / "instead"), os.environ.get("PYTHONPATH")]))
    instead: dict[str, Any] = {"PYTHONPATH": path, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with node(tmp_path / "node", database_url, **instead) as one:
        wait_for_end(database_url)
        assert one.stop() == 0
    assert "pip install 'v7-task-processor[otel]'" in one.said()
    assert jobs(database_url, "status") == [("succeeded",)]
