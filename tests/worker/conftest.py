from collections.abc import Iterator

import pytest

from ..support import emptied, shared_database


@pytest.fixture(scope="package")
def shared_database_url(server_url: str, template: str) -> Iterator[str]:
    yield from shared_database(server_url, template)


@pytest.fixture
def database_url(shared_database_url: str) -> str:
    """A migrated, empty database."""
    return emptied(shared_database_url)
