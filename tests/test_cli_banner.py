"""The first screen."""

import io
import sys

import pytest

from v7_task_processor.cli import banner, serve
from v7_task_processor.server import Server, Standby
from v7_task_processor.settings import Settings

SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_standby_names": ""}
SERVER = Server("18.6", 180006, "db.example", "events", SAFE)


def screen(
    server: Server = SERVER, address: str = "http://0.0.0.0:4000", workers: bool = True, **fields: object
) -> dict[str, str]:
    settings = Settings(**{"worker_processes": 2, **fields})  # type: ignore[arg-type]
    lines = banner.lines(settings, server, embedded=False, address=address, workers=workers)
    assert len(lines) <= 8 + any("V7_API_KEYS is not set" in line for line in lines)
    assert "\x1b" not in lines[0].replace("\x1b[1m", "").replace("\x1b[0m", "")
    plain = [line.replace("\x1b[2m", "").replace("\x1b[1m", "").replace("\x1b[0m", "") for line in lines]
    return {"": plain[0]} | {line.split()[0]: line.split(maxsplit=1)[1] for line in plain[1:]}


def test_it_tells_what_runs_where_and_what_to_do() -> None:
    said = screen()
    assert said[""].endswith("serves on http://0.0.0.0:4000")
    assert said["database"] == "PostgreSQL 18.6, events on db.example"
    assert said["handlers"].startswith("the built-in demo")
    assert said["workers"] == "2 processes, 16 at once in each"
    assert said["promise"] == "an answer 200 means: durable on this server"
    assert said["send"].startswith("curl http://127.0.0.1:4000/api/event/v1 ")
    assert "Authorization" not in said["send"]


def test_what_does_not_run_is_not_mentioned() -> None:
    assert not {"handlers", "workers"} & screen(workers=False).keys()
    assert not {"promise", "send"} & screen(address="").keys()


def test_a_key_is_asked_for_and_not_shown() -> None:
    said = screen(api_keys="secret", handlers="shop.handlers\x1b[31m")
    assert "-H 'Authorization: Bearer …'" in said["send"]
    assert said["handlers"] == "shop.handlers\\x1b[31m"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "v7.example"])
def test_it_says_where_anyone_can_send(host: str) -> None:
    said = screen(host=host)["keys"]
    assert "anyone who reaches this address can send events and read /metrics, since V7_API_KEYS is not set" in said
    assert "can send events, since" in screen(host=host, admin_token="s3cret")["keys"]
    assert "keys" not in screen(host=host, api_keys="s3cret")
    assert "keys" not in screen(host=host, address="")
    assert "keys" not in screen(host="127.0.0.1")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_degraded_server_is_called_so(name: str) -> None:
    said = screen(SERVER._replace(settings=SAFE | {name: "off"}))["promise"]
    assert f"degraded: {name} is off" in said
    assert "durable" not in said


def test_standbys_are_part_of_the_promise() -> None:
    said = screen(
        SERVER._replace(
            settings=SAFE | {"synchronous_standby_names": "ANY 1 (a, b)"}, standbys=(Standby("a\x1b[31m", "quorum"),)
        )
    )
    assert said["promise"] == (
        "an answer 200 means: durable on 2 nodes (this one and 1 synchronous standby, a\\x1b[31m)"
    )


@pytest.mark.parametrize("is_terminal", [True, False])
def test_bold_is_for_terminals(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    lines = banner.lines(Settings(), SERVER, embedded=False, address="http://0.0.0.0:4000", workers=True)
    assert ("\x1b" in serve.screen(lines)) == is_terminal
