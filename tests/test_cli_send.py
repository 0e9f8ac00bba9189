"""`v7 send`: an event to the letter, with a key that may."""

import json

import pytest

from v7_task_processor.cli import root

from .answering import Answering
from .answering import port as port
from .command import v7


@pytest.mark.parametrize(
    ("keys", "carried"),
    [
        ("shop send s3cret", "Bearer s3cret"),
        (f"shop send sha256:{'0' * 64}, grafana read r3ad, s3cret", "Bearer s3cret"),
        (f"sha256:{'0' * 64}", "Bearer admin"),
        ("", None),
    ],
)
def test_send_takes_the_first_key_that_may(port: int, keys: str, carried: str | None) -> None:
    event = ("send", "--type", 5, "--user", 1, "null")
    assert v7(*event, "--port", port, V7_API_KEYS=keys, V7_ADMIN_TOKEN="admin").returncode == 0
    there = f"http://127.0.0.1:{port}"
    assert v7(*event, "--url", there, V7_API_KEYS=keys, V7_ADMIN_TOKEN="admin").returncode == 0
    sent = [headers.get("Authorization") for _, headers, _ in Answering.seen]
    assert sent == [carried, None if carried == "Bearer admin" else carried], "to others none that may everything"


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
    arguments = ["send", "--type", "1", "--user", "1", "--url", url]
    assert root.run([*arguments, "--count", "2", "--json", "null"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ids": [1, 2]}
    assert ["Idempotency-Key" in headers for _, headers, _ in Answering.seen] == [False, False]


def test_a_key_stands_for_one_event(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """With many the first would be added, and its id said so many times."""
    arguments = ["send", "--type", "1", "--user", "1", "--port", str(port), "--idempotency-key", "k", "null"]
    assert root.run([*arguments, "--count", "2"]) == 2
    assert "--count does not go with --idempotency-key: one key stands for one event." in capsys.readouterr().err
    assert Answering.seen == []
    assert root.run([*arguments, "--count", "1"]) == 0
    ((_, headers, _),) = Answering.seen
    assert headers["Idempotency-Key"] == "k"


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
