"""What a server says of itself."""

import pytest

from v7_task_processor.database import SCHEMA_VERSION
from v7_task_processor.errors import DatabaseUnavailable
from v7_task_processor.server import describe

NOWHERE = "postgresql://ann:hunter2@127.0.0.1:1/db"


def test_a_server_describes_itself(database_url: str) -> None:
    found = describe(database_url, ["fsync", "no_such_setting"])
    assert found.number // 10_000 >= 15
    assert found.version.startswith(str(found.number // 10_000))
    assert found.settings.keys() == {"fsync"}
    assert (found.is_standby, found.standbys, found.schema) == (False, (), SCHEMA_VERSION)
    with pytest.raises(DatabaseUnavailable):
        describe(NOWHERE, [])
