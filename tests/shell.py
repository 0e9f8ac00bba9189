"""The command `v7` in this process, on a database with one of everything: a process for each would take a minute."""

from typing import Any

import psycopg
import pytest

from v7_task_processor.cli import root

from .population import populate


class Shell:
    def __init__(self, capsys: pytest.CaptureFixture[str], url: str) -> None:
        self.capsys, self.url = capsys, url

    def __call__(self, *arguments: object, code: int = 0) -> str:
        assert root.run(list(map(str, arguments))) == code
        captured = self.capsys.readouterr()
        return captured.err if code else captured.out

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def row(self, columns: str, job_id: int) -> tuple[Any, ...]:
        (row,) = self.rows(f"select {columns} from v7.all_jobs where id = {job_id}")
        return row


@pytest.fixture
def shell(database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    populate(database_url)
    monkeypatch.setenv("DATABASE_URL", database_url)
    return Shell(capsys, database_url)
