from collections.abc import Iterator

import pytest

from ...conftest import fresh
from ...population import populate
from ..support import ApiProcess, process

TOKEN = "s3cret-é"


@pytest.fixture(scope="module")
def populated_url(server_url: str, template: str) -> Iterator[str]:
    """A database with one of everything."""
    for url in fresh(server_url, template):
        populate(url)
        yield url


@pytest.fixture(scope="module")
def here(populated_url: str) -> Iterator[ApiProcess]:
    """Without a token, for this machine only."""
    with process(populated_url) as api:
        yield api


@pytest.fixture(scope="module")
def guarded(populated_url: str) -> Iterator[ApiProcess]:
    """With a token, for this machine only."""
    with process(populated_url, admin_token=TOKEN) as api:
        yield api


@pytest.fixture(scope="module")
def everywhere(populated_url: str) -> Iterator[ApiProcess]:
    """With a token, for all who can reach it."""
    with process(populated_url, admin_token=TOKEN, host="0.0.0.0") as api:
        yield api
