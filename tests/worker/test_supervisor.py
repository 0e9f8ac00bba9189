"""What a start that fails leaves behind."""

from pathlib import Path

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.errors import DatabaseUnavailable
from v7_task_processor.settings import Settings
from v7_task_processor.worker.node import Member
from v7_task_processor.worker.supervisor import Supervisor


@pytest.mark.parametrize("step", ["join", "nodes"])
async def test_a_start_that_fails_leaves_no_notes(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """No successor could make anything of them: it had no workers yet."""

    async def lost(*_: object) -> None:
        raise psycopg.OperationalError("the connection was lost")

    target: object = Member if step == "join" else queue
    monkeypatch.setattr(target, step, lost)
    settings = Settings(data_dir=str(tmp_path))
    supervisor = Supervisor(settings, database_url, None, True, None, print)
    assert list((tmp_path / "nodes").iterdir())
    with pytest.raises(DatabaseUnavailable):
        await supervisor.enter()
    assert not list((tmp_path / "nodes").iterdir())
    await supervisor.hang_up()
