"""A file of events that `v7 send` sends to a real server, interrupted and again."""

from pathlib import Path

import pytest

from v7_task_processor.cli import root, send_file

from .support import ApiProcess, body, rows

DATA = "select event_data::text::int from v7.jobs order by position"


def test_a_file_that_is_sent_again_under_its_key_is_sent_once(
    api: ApiProcess,
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Interrupted behind its second batch by a line that is none; mended, it goes on."""
    monkeypatch.setattr(send_file, "LINES_MAX", 10)
    lines = [body(str(n)) for n in range(35)]
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join([*lines[:24], b"{}", *lines[25:]]))
    given = ["send", "--file", str(path), "--port", str(api.port), "--idempotency-key", "k"]
    assert root.run(given) == 1
    said = capsys.readouterr().err
    assert "line 25: the field user_id is missing. (HTTP 400) It came with lines 21 to 30." in said
    assert "--skip 20 --idempotency-key k" in said
    assert rows(database_url, DATA) == [(n,) for n in range(20)]
    path.write_bytes(b"\n".join(lines))
    assert root.run([*given, "--skip", "20"]) == 0
    assert root.run(given) == 0
    assert rows(database_url, DATA) == [(n,) for n in range(35)]
