"""The commands that change something: redrive, pause and resume, send."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from v7_task_processor import operations
from v7_task_processor.cli import posting, root

from .command import answer, v7
from .population import populate


def dead(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("select id from v7.jobs where status = 'dead' order by id")]


def test_redrive_by_id(database_url: str) -> None:
    populate(database_url)
    with psycopg.connect(database_url, autocommit=True) as listening:
        listening.execute("listen v7")
        done = v7("dead", "redrive", "42", url=database_url)
        assert [note.payload for note in listening.notifies(timeout=5, stop_after=1)] == ["jobs"]
    assert (done.returncode, done.stdout, done.stderr) == (0, "1 dead letter queued again.\n", "")
    assert dead(database_url) == [41]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select status, retry_count, dead_reason from v7.jobs where id = 42").fetchone()
    assert row == ("queued", 0, None)


def test_redrive_names_ids_that_are_not_dead(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert root.run(["dead", "redrive", "42", "1", "999", "--yes"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "1 dead letter queued again.\n"
    assert captured.err == "v7: Not among the dead letters: 1, 999.\n"
    assert root.run(["dead", "redrive", "42", "--yes", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"redriven": 0, "not_dead": [42]}


def test_redrive_by_type_and_all(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert root.run(["dead", "redrive", "--type", "5", "--yes"]) == 0
    assert dead(database_url) == [41]
    assert root.run(["dead", "redrive", "--all", "--yes"]) == 0
    assert dead(database_url) == []
    capsys.readouterr()
    assert root.run(["dead", "redrive", "--all", "--yes"]) == 0
    assert capsys.readouterr().out == "No dead letters.\n"


def test_redrive_goes_by_batches(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason) "
            "select 1, i, 0, '{}', 'dead', now(), 'x' from generate_series(1, 25) i"
        )
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(operations, "BATCH", 10)
    assert root.run(["dead", "redrive", "--all", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"operation": 1, "status": "done", "done": 25, "skipped": 0}
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select user_id from v7.jobs where status = 'queued' order by position").fetchall()
    assert [row[0] for row in rows] == list(range(1, 26)), "in the order in which they came"


def test_redrive_asks_where_somebody_is_there(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    asked: list[str] = []
    answers = ["n", "y"]

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return answers.pop(0)

    monkeypatch.setattr("click.termui.visible_prompt_func", ask)
    assert root.run(["dead", "redrive", "--all"]) == root.INTERRUPTED
    assert dead(database_url) == [41, 42]
    assert "Queue 2 dead letters again?" in asked[0] + capsys.readouterr().err
    assert root.run(["dead", "redrive", "--all"]) == 0
    assert dead(database_url) == []


def test_limit(database_url: str) -> None:
    assert answer("types", "limit", "-5", "3", url=database_url) == {"event_type_id": -5, "concurrency_limit": 3}
    (row,) = answer("types", "list", url=database_url)["event_types"]
    assert (row["event_type_id"], row["concurrency_limit"]) == (-5, 3)
    assert answer("types", "limit", "-5", "--none", url=database_url) == {
        "event_type_id": -5,
        "concurrency_limit": None,
    }


def test_pause_and_resume(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listening:
        listening.execute("listen v7")
        paused = answer("types", "pause", "-5", url=database_url)
        assert [note.payload for note in listening.notifies(timeout=5, stop_after=1)] == ["types"]
        (row,) = listening.execute("select paused_at, paused_by from v7.event_types where event_type_id = -5")
    assert paused["event_type_id"] == -5
    assert paused["paused_at"].startswith(row[0].date().isoformat())
    assert row[1].startswith("v7 types pause by ")
    assert "@" in row[1]
    assert answer("types", "resume", "-5", url=database_url) == {"event_type_id": -5, "paused_at": None}
    done = v7("types", "resume", "6", url=database_url)
    assert done.returncode == 1
    assert done.stderr == "v7: There is no event type 6: v7 types list shows those that there are.\n"


class Answering(http.server.BaseHTTPRequestHandler):
    """A server that notes what it is sent, and answers as told."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    answers: ClassVar[list[tuple[int, bytes]]] = []
    retry_after = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, dict(self.headers), body))
        status, answer = self.answers.pop(0) if self.answers else (200, b'{"id": 17}')
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if self.retry_after:
            self.send_header("Retry-After", self.retry_after)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    Answering.seen.clear()
    Answering.answers.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("keys", "carried"),
    [
        ("shop send s3cret", "Bearer s3cret"),
        (f"shop send sha256:{'0' * 64}, grafana read r3ad, s3cret", "Bearer s3cret"),
        (f"sha256:{'0' * 64}", None),
    ],
)
def test_send_takes_the_first_key_that_may(port: int, keys: str, carried: str | None) -> None:
    done = v7("send", "--type", 5, "--user", 1, "--port", port, "null", V7_API_KEYS=keys, V7_ADMIN_TOKEN="admin")
    assert done.returncode == 0
    assert Answering.seen[0][1].get("Authorization") == carried


def test_send_keeps_the_event_to_the_letter(port: int) -> None:
    event = '{"n": 1E5, "n": 12345678901234567890123, "s": "\\u0000 é"}'
    done = v7(
        "send", "--type", 5, "--user", -1, "--priority", 3, "--port", port, "-", stdin=event, V7_API_KEYS="key1,key2"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "17\n", "")
    path, headers, body = Answering.seen[0]
    assert path == "/api/event/v1"
    assert headers["Authorization"] == "Bearer key1"
    assert headers["Content-Type"] == "application/json"
    assert event.encode() in body
    assert json.loads(body) | {"event_data": None} == {
        "user_id": -1,
        "priority": 3,
        "event_type_id": 5,
        "event_data": None,
    }


def test_send_many_over_one_connection(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    Answering.answers += [(200, b'{"id": 1}'), (200, b'{"id": 2}')]
    url = f"http://127.0.0.1:{port}"
    arguments = ["send", "--type", "1", "--user", "1", "--url", url, "--idempotency-key", "k"]
    assert root.run([*arguments, "--count", "2", "--json", "null"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ids": [1, 2]}
    assert [headers["Idempotency-Key"] for _, headers, _ in Answering.seen] == ["k", "k"]


def test_send_says_what_the_server_said(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    Answering.answers += [(400, b"Failed to parse event: no\x1b[31m"), (500, b"")]
    arguments = ["send", "--type", "1", "--user", "1", "--port", str(port), "null"]
    assert root.run(arguments) == 1
    assert capsys.readouterr().err == "v7: Failed to parse event: no\\x1b[31m (HTTP 400)\n"
    assert root.run(arguments) == 1
    assert capsys.readouterr().err == "v7: Internal Server Error (HTTP 500)\n"


def test_send_where_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["send", "--type", "1", "--user", "1", "--port", "1", "null"]) == 1
    assert "Is `v7 run` running there?" in capsys.readouterr().err


def lines(count: int) -> list[bytes]:
    event = b'{"user_id": 1, "priority": 2, "event_data": {"n": %d, "s": "\\u0000 1E5"}, "event_type_id": 3}\n'
    return [event % n for n in range(count)]


def written(folder: Path, count: int) -> Path:
    path = folder / "events.ndjson"
    path.write_bytes(b"".join(lines(count)))
    return path


def test_send_a_file_by_batches(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, 2_500)
    given = ["send", "--file", str(path), "--url", f"http://127.0.0.1:{port}/api/event/v1", "--idempotency-key", "k"]
    assert root.run(given) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"2,500 events sent from {path}.\n", "")
    assert b"".join(body for _, _, body in Answering.seen) == path.read_bytes()
    assert {(path, headers["Content-Type"]) for path, headers, _ in Answering.seen} == {
        ("/api/event/v1/batch", "application/x-ndjson")
    }
    assert [headers["Idempotency-Key"] for _, headers, _ in Answering.seen] == ["k:1", "k:1001", "k:2001"]
    Answering.seen.clear()
    assert root.run([*given, "--skip", "2000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"sent": 500, "lines": 2_500, "idempotency_key": "k"}
    ((_, headers, body),) = Answering.seen
    assert (headers["Idempotency-Key"], body) == ("k:2001", b"".join(lines(2_500)[2_000:]))


def test_send_lines_from_stdin(port: int) -> None:
    done = v7("send", "--file", "-", "--port", port, stdin=b"".join(lines(2)).decode(), V7_API_KEYS="key1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 events sent from stdin.\n", "")
    ((_, headers, body),) = Answering.seen
    assert (headers["Authorization"], body) == ("Bearer key1", b"".join(lines(2)))
    assert headers["Idempotency-Key"].startswith("v7-send-")


def test_send_a_file_with_large_lines(port: int, tmp_path: Path) -> None:
    path = tmp_path / "large"
    large = [b"1" * size + b"\n" for size in (600_000, 600_000, 2_000_000, 10)]
    path.write_bytes(b"".join(large))
    assert root.run(["send", "--file", str(path), "--port", str(port)]) == 0
    assert [body for _, _, body in Answering.seen] == large


def test_send_a_file_names_the_line_and_how_to_go_on(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, 2_500)
    given = ["send", "--file", str(path), "--port", str(port), "--idempotency-key", "my key"]
    Answering.answers += [(200, b"{}"), (400, b"Failed to parse event: line 7: the field user_id is missing.")]
    assert root.run(given) == 1
    assert capsys.readouterr().err == (
        "v7: Failed to parse event: line 1007: the field user_id is missing. (HTTP 400) "
        "It came with lines 1001 to 2000. Lines up to 1,000 are sent. To go on without sending any twice, "
        "give the same command with --skip 1000 --idempotency-key 'my key'\n"
    )
    Answering.answers += [(500, b"It is not known whether the batch was added")]
    assert root.run(given) == 1
    assert "Nothing is sent yet. To go on without sending any twice" in capsys.readouterr().err


def test_send_a_file_waits_while_the_server_is_busy(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, 1)
    monkeypatch.setattr(Answering, "retry_after", "0")
    Answering.answers += [(503, b"busy")] * 4
    assert root.run(["send", "--file", str(path), "--port", str(port)]) == 0
    assert len(Answering.seen) == 5
    Answering.answers += [(503, b"busy")] * 5
    assert root.run(["send", "--file", str(path), "--port", str(port)]) == 1
    assert "v7: busy (HTTP 503) It came with line 1. Nothing is sent yet." in capsys.readouterr().err


def test_send_a_file_where_nobody_listens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert root.run(["send", "--file", str(written(tmp_path, 1)), "--port", "1"]) == 1
    said = capsys.readouterr().err
    assert "Is `v7 run` running there? Nothing is sent yet." in said
    assert "--skip 0 --idempotency-key v7-send-" in said


def test_send_an_empty_file(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, 0)
    assert root.run(["send", "--file", str(path), "--port", str(port)]) == 0
    assert (capsys.readouterr().out, Answering.seen) == (f"0 events sent from {path}.\n", [])


def test_send_a_file_that_somebody_watches_and_interrupts(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, 2_500)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    given = ["send", "--file", str(path), "--port", str(port), "--idempotency-key", "k"]
    assert root.run(given) == 0
    assert capsys.readouterr().err == "\r1,000 events sent\r2,000 events sent\r2,500 events sent\n"
    real, sent = posting.Server.post, len(Answering.seen)

    def post(server: posting.Server, path: str, body: bytes, headers: dict[str, str]) -> posting.Answer:
        if len(Answering.seen) == sent + 2:
            raise KeyboardInterrupt
        return real(server, path, body, headers)

    monkeypatch.setattr(posting.Server, "post", post)
    assert root.run(given) == root.INTERRUPTED
    assert "Lines up to 2,000 are sent. To go on" in capsys.readouterr().err
