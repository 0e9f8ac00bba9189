"""Events over HTTP: one API process, keep-alive connections, each event durable before its answer."""

import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import client
from database import Database
from node import running

from v7_task_processor import database as schema

CONNECTIONS = (16, 64, 256)
BODY = json.dumps(
    {"user_id": 1, "priority": 5, "event_data": {"i": 1, "text": "an event like any other"}, "event_type_id": 1}
)
EMPTY = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

async def empty(request):
    return PlainTextResponse("")

app = Starlette(routes=[Route("/api/event/v1", empty, methods=["POST"])])
uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="error", access_log=False)
"""


def empty_route(_database: Database, seconds: float) -> dict[str, float]:
    """What the server gives where nothing is done: answers a second, by number of connections."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", EMPTY, str(port)])
    try:
        return rates(port, seconds)
    finally:
        process.terminate()
        process.wait()


def events(database: Database, seconds: float) -> dict[str, float]:
    """Durable events a second, by number of connections; and their latencies."""
    schema.migrate(database.url)
    port = free_port()
    with tempfile.TemporaryDirectory() as name, running("api", database, Path(name), PORT=port):
        return rates(port, seconds)


def rates(port: int, seconds: float) -> dict[str, float]:
    wait_for(port)
    figures = {}
    for connections in CONNECTIONS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(client.post, (port, BODY, connections, seconds))
        figures[f"{connections} conn."] = found["rate"]
        figures[f"p99 ms, {connections}"] = found["p99"]
    return figures


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
