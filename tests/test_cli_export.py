"""`v7 jobs export`: every job once, its event to the letter, and a file that is whole or has not its name."""

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from v7_task_processor import listing
from v7_task_processor.cli import export, root

from .population import KEYS, NUL_EVENT, populate

FIELDS = """id status event_type_id user_id priority position correlation_id retry_count max_retries attempt suspect
worker_id worker last_error dead_reason created_at run_at queued_at claimed_at dead_at finished_at redriven_from
traceparent event_data"""


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def exported(capfdbinary: pytest.CaptureFixture[bytes], *options: str) -> list[dict[str, Any]]:
    assert root.run(["jobs", "export", *options]) == 0
    return [json.loads(each) for each in capfdbinary.readouterr().out.splitlines()]


def test_every_job_once_whatever_the_pages(
    url: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 1)
    monkeypatch.setattr(export, "PAGE_MAX", 2)
    jobs = exported(capfdbinary)
    assert [job["id"] for job in jobs] == sorted(KEYS.values(), reverse=True)
    assert {tuple(job) for job in jobs} == {tuple(FIELDS.split())}


def test_events_are_to_the_letter_each_on_one_line(url: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    pretty = '{\n  "a": 1E5,\r\n  "a": "\\n \\ud800",\n\t"n": 12345678901234567890123}'
    with psycopg.connect(url) as connection:
        connection.execute("update v7.jobs set event_data = %s where id = 1", [pretty])
    assert root.run(["jobs", "export"]) == 0
    out = capfdbinary.readouterr().out.decode()
    assert len(out.splitlines()) == len(KEYS)
    assert f'"event_data":{NUL_EVENT}}}\n' in out
    flat = pretty.replace("\n", " ").replace("\r", " ")
    assert f'"event_data":{flat}}}\n' in out


def test_filters(url: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def found(*options: str) -> list[int]:
        return [job["id"] for job in exported(capfdbinary, *options)]

    assert found("--finished") == [21, 20]
    assert found("--finished", "--status", "cancelled") == [21]
    assert found("--finished-until", "2000-01-01") == []
    assert found("--status", "dead", "--error", "second") == [42]
    assert found("--user", "8") == [7, 4, 3]
    assert root.run(["jobs", "export", "--finished", "--status", "dead"]) == 2


def test_large_events_make_small_pages(
    url: str, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    whole = listing.jobs_page

    def noted(*arguments: Any, limit: int, **options: Any) -> Any:
        asked.append(limit)
        return whole(*arguments, limit=limit, **options)

    monkeypatch.setattr(listing, "jobs_page", noted)
    monkeypatch.setattr(export, "PAGE", 8)
    monkeypatch.setattr(export, "PAGE_BYTES_MAX", 1)
    exported(capfdbinary)
    assert asked == [8, 2, 1]


def test_a_file_has_its_name_when_it_is_whole(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path / "jobs.ndjson"
    assert root.run(["jobs", "export", "--output", str(name)]) == 0
    assert capsys.readouterr().out == f"{len(KEYS)} jobs exported to {name}.\n"
    assert len(name.read_text().splitlines()) == len(KEYS)
    name.unlink()

    def cut(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "line", cut)
    assert root.run(["jobs", "export", "--output", str(name)]) == root.INTERRUPTED
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.ndjson.part"]
    assert root.run(["jobs", "export", "--output", str(tmp_path / "no" / "where")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_a_link_stays_and_leads_to_a_file_that_is_whole(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    link, whole = tmp_path / "latest", tmp_path / "jobs.ndjson"
    link.symlink_to(whole.name)
    for earlier in (None, "of yesterday"):  # it may lead to what is not there yet
        if earlier is not None:
            whole.write_text(earlier)
        assert root.run(["jobs", "export", "--status", "running", "--output", str(link)]) == 0
        assert link.is_symlink()
        assert json.loads(whole.read_text())["id"] == KEYS["running"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["jobs.ndjson", "latest"]


def test_what_is_there_and_is_no_file_is_written_to_and_stays(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert root.run(["jobs", "export", "--status", "running", "--output", str(pipe)]) == 0
        assert json.loads(os.read(reader, 65536))["id"] == KEYS["running"]
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert root.run(["jobs", "export", "--output", str(tmp_path)]) == 2
    assert f"{tmp_path} cannot be written: Is a directory." in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["pipe"]


def test_no_room_is_said_in_a_sentence(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert root.run(["jobs", "export", "--output", "/dev/full"]) == 1
    assert capfd.readouterr().err == (
        "v7: No space left on device. What was being written is not whole: make room, and run it again.\n"
    )
