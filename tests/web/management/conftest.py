from collections.abc import Iterator

import psycopg
import pytest

from ...population import populate
from ..support import ApiProcess


@pytest.fixture
def populated(api: ApiProcess, database_url: str) -> Iterator[ApiProcess]:
    """A running API process on a database with one of everything."""
    populate(database_url)
    yield api
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("delete from v7.jobs; delete from v7.finished_jobs; delete from v7.failures")
        connection.execute("delete from v7.operations; delete from v7.audit")
