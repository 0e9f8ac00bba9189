"""Batches so small that a test has several."""

from collections.abc import AsyncIterator, Iterator

import pytest

from v7_task_processor import database, operations
from v7_task_processor.queue import Connection

from ..support import emptied, shared_database


@pytest.fixture(scope="package")
def shared_database_url(server_url: str, template: str) -> Iterator[str]:
    yield from shared_database(server_url, template)


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    return emptied(shared_database_url)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Connection]:
    async with await database.connect(database_url, operations.SESSION) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 10)
    monkeypatch.setattr(operations, "LOOKED_MAX", 25)
