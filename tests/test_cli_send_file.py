"""`v7 send --file`: lines by batches, and how to go on after what broke."""

import json
from pathlib import Path

import pytest

from v7_task_processor.cli import posting, root

from .answering import Answering
from .answering import port as port
from .command import v7


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


def test_a_line_that_is_too_long_is_called_so(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "long"
    path.write_bytes(b"".join(lines(2)) + b"1" * 2_000_000)
    Answering.answers += [(200, b"{}"), (413, b"The batch is larger than 9 bytes.")]
    assert root.run(["send", "--file", str(path), "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(
        "v7: Line 3, one event of 2,000,000 bytes, is too long. The batch is larger than 9 bytes. (HTTP 413) It came "
        "with line 3. Lines up to 2 are sent."
    )


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


def test_an_empty_line_at_the_end_is_none(port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "events.ndjson"
    for count in (2, 1_000):
        path.write_bytes(b"".join(lines(count)) + b" \r\n")
        assert root.run(["send", "--file", str(path), "--port", str(port)]) == 0
        assert f"{count:,} events sent" in capsys.readouterr().out
    assert [body.count(b"\n") for _, _, body in Answering.seen] == [2, 1_000]


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
