from collections.abc import Iterator

import pytest

from ..conftest import fresh
from ..support import emptied, shared_database
from .support import ApiProcess, process


@pytest.fixture(scope="package")
def shared_database_url(server_url: str, template: str) -> Iterator[str]:
    yield from shared_database(server_url, template)


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """A migrated, empty database."""
    return emptied(shared_database_url)


@pytest.fixture
def own_database_url(server_url: str, template: str) -> Iterator[str]:
    """One that the test may change."""
    yield from fresh(server_url, template)


@pytest.fixture(scope="package")
def shared_api(shared_database_url: str) -> Iterator[ApiProcess]:
    with process(shared_database_url) as api:
        yield api


@pytest.fixture
def api(shared_api: ApiProcess, database_url: str) -> ApiProcess:
    """A running API process, on an empty database."""
    return shared_api
