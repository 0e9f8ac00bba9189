"""The commands of nodes: which database they act on."""

import json

import pytest

from v7_task_processor.cli import root

from .shell import Shell
from .shell import shell as shell

NOWHERE = "postgresql://127.0.0.1:1/nobody"


def test_what_is_given_before_the_name_of_a_command_holds_for_it(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken and dropped: the node of another database was drained."""
    monkeypatch.setenv("DATABASE_URL", NOWHERE)
    before = ["workers", "--database-url", shell.url, "--json"]
    drained = json.loads(shell(*before, "drain", "alpha:100"))
    assert shell.rows("select id, drained_at is not null from v7.workers where drained_by is not null") == [
        (drained["id"], True)
    ]
    assert json.loads(shell(*before, "resume", drained["id"])) == {"id": drained["id"], "drained_at": None}
    assert root.run(["workers", "--database-url", NOWHERE, "drain", "1", "--database-url", shell.url]) == 0
    assert root.run([*before, "drain", "1", "--database-url", NOWHERE]) == 69, "the nearer one counts"
    assert root.run(["workers", "--database-url", "", "drain", "1"]) == 2
