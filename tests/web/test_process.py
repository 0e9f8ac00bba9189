"""API processes as a supervisor has them: they drain, and they never outlive it."""

import asyncio
import contextlib
import http.client
import signal
import socket
import threading
import time

import httpx
import psutil
import psycopg
import pytest

from v7_task_processor.child import Report
from v7_task_processor.web.server import LAST_REQUESTS_SECONDS_MAX

from .support import PATH, body, process, rows

LOCK = "lock table v7.jobs in access exclusive mode"
WAITS = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
SENDERS = 16


def test_it_reports_and_ends_by_itself(database_url: str) -> None:
    with process(database_url) as api:
        assert api.report == Report(ready=True)
        assert api.post(body()).status_code == 200
        assert api.stop() == 0


def test_it_starts_without_a_database(database_url: str) -> None:
    with process("host=127.0.0.1 port=1 dbname=x user=x") as api:
        assert api.report == Report(ready=True)
        answer = api.post(body())
        assert (answer.status_code, answer.text.partition(",")[0]) == (500, "The event could not be added")
        assert api.stop() == 0


def test_draining_answers_what_is_on_its_way(database_url: str) -> None:
    with process(database_url) as api, psycopg.connect(database_url) as connection:
        connection.execute(LOCK)
        answers: list[httpx.Response] = []

        def send() -> None:
            # Whose connection was not accepted yet when the drain began is refused, and has sent nothing.
            with contextlib.suppress(httpx.TransportError):
                answers.append(api.post(body()))

        posts = [threading.Thread(target=send) for _ in range(8)]
        for post in posts:
            post.start()
        while not connection.execute(WAITS).fetchone():
            pass
        idle = http.client.HTTPConnection("127.0.0.1", api.port)
        idle.request("GET", "/livez")
        idle.getresponse().read()  # one that was not accepted yet would wait for the next process
        api.process.send_signal(signal.SIGTERM)
        assert idle.sock.recv(1) == b""  # closed
        idle.close()
        connection.rollback()
        for post in posts:
            post.join()
        assert api.process.wait(60) == 0
    stored = [row[0] for row in rows(database_url, "select id from v7.jobs order by id")]
    answered = [answer for answer in answers if answer.status_code == 200]
    assert stored
    assert sorted(answer.json()["id"] for answer in answered) == stored


async def test_draining_under_load_loses_nobody_an_answer(database_url: str) -> None:
    """Each sender has a connection of its own. One that pauses for longer than such a connection is left open finds
    it closed, and is refused when it makes another; nobody else is."""
    ids: list[int] = []
    connected, began = asyncio.Barrier(SENDERS), asyncio.Event()

    async def send(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(keepalive_expiry=60)) as client:
            await client.get("/livez")
            await connected.wait()
            closing, last_at = "", time.monotonic()
            while closing != "close":
                sent_at = time.monotonic()
                try:
                    answer = await client.post(PATH, content=body(), headers={"content-type": "application/json"})
                except httpx.ConnectError:
                    assert time.monotonic() - last_at > LAST_REQUESTS_SECONDS_MAX
                    return
                assert answer.status_code == 200
                ids.append(answer.json()["id"])
                if len(ids) == 100:
                    began.set()
                closing, last_at = answer.headers.get("connection", ""), sent_at

    with process(database_url) as api:
        senders = [asyncio.create_task(send(f"http://127.0.0.1:{api.port}")) for _ in range(SENDERS)]
        await began.wait()
        api.process.send_signal(signal.SIGTERM)
        api.listener.close()  # ours: whoever comes when the process listens no more would wait on it for ever
        await asyncio.gather(*senders)
        assert await asyncio.to_thread(api.process.wait, 60) == 0
    assert sorted(ids) == [row[0] for row in rows(database_url, "select id from v7.jobs order by id")]


def test_in_its_grace_period_it_serves_on_and_keeps_no_connection(database_url: str) -> None:
    with process(database_url, shutdown_seconds=30, grace_seconds=6) as api:
        assert api.client.get("/readyz").headers.get("connection") != "close"
        api.process.send_signal(signal.SIGTERM)
        while (looked := api.client.get("/readyz")).status_code == 200:
            pass
        assert looked.status_code == 503
        assert looked.headers["connection"] == "close"
        answer = api.post(body())
        assert answer.status_code == 200
        assert answer.headers["connection"] == "close"
        api.listener.close()
        assert api.process.wait(60) == 0
        with pytest.raises(httpx.ConnectError):
            api.post(body())


def test_draining_does_not_wait_longer_than_it_may(database_url: str) -> None:
    with process(database_url, shutdown_seconds=0.5) as api, psycopg.connect(database_url) as connection:
        connection.execute(LOCK)
        failed: list[Exception] = []

        def post() -> None:
            try:
                assert api.post(body()).status_code == 500
            except httpx.HTTPError as error:
                failed.append(error)

        thread = threading.Thread(target=post)
        thread.start()
        while not connection.execute(WAITS).fetchone():
            pass
        assert api.stop() == 0
        thread.join()


@pytest.mark.fault(73)
def test_control_c_is_for_the_supervisor(database_url: str) -> None:
    with process(database_url) as api:
        api.process.send_signal(signal.SIGINT)
        assert api.post(body()).status_code == 200


def test_it_does_not_outlive_its_supervisor(database_url: str) -> None:
    with process(database_url) as api:
        with contextlib.closing(api.ours):
            pass
        assert api.process.wait(60) == 1


def test_connections_beyond_the_usual_limit_of_files(database_url: str) -> None:
    with process(database_url) as api, contextlib.ExitStack() as stack:
        for _ in range(1500):
            stack.enter_context(socket.create_connection(("127.0.0.1", api.port)))
        assert api.post(body()).status_code == 200


def test_who_connected_while_it_stood_still_is_answered_before_it_ends(database_url: str) -> None:
    """It gets no processor just when its grace period is over."""
    lines = [f"POST {PATH} HTTP/1.1", "Host: x", "Content-Type: application/json", f"Content-Length: {len(body())}"]
    request = "\r\n".join([*lines, "", ""]).encode() + body()
    for _ in range(5):
        with process(database_url, shutdown_seconds=20, grace_seconds=1) as api, contextlib.ExitStack() as stack:
            stopped = psutil.Process(api.process.pid)
            api.listener.close()
            api.process.send_signal(signal.SIGTERM)
            while api.client.get("/readyz").status_code == 200:
                pass
            stopped.suspend()
            try:
                came = stack.enter_context(socket.create_connection(("127.0.0.1", api.port)))
            except ConnectionRefusedError:  # too late
                continue
            came.sendall(request)
            time.sleep(1.5)
            stopped.resume()
            answer = came.recv(65536)
            assert b" 200 " in answer
            assert b"connection: close" in answer
            assert api.process.wait(60) == 0
            return
    pytest.fail("it was never stopped in time")
