import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from v7_task_processor.worker import eager

from ..support import emptied, shared_database
from .bench import Bench


@pytest.fixture(scope="package")
def shared_database_url(server_url: str, template: str) -> Iterator[str]:
    yield from shared_database(server_url, template)


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """A migrated, empty database."""
    return emptied(shared_database_url)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path).on_its_clock(monkeypatch)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The worker's loop for the worker's tests."""
    return {"eager": eager.Loop}
