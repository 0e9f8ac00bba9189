"""A node in the register, and out of it again."""

from pathlib import Path

import psycopg
import pytest

from v7_task_processor import queue
from v7_task_processor.settings import Settings
from v7_task_processor.worker.node import Member
from v7_task_processor.worker.slots import NodeMap


async def test_it_leaves_also_where_its_connection_broke_since_the_last_beat(database_url: str, tmp_path: Path) -> None:
    """Else others take a node that has ended for one that was lost."""
    member = Member(Settings(), database_url, NodeMap.create(tmp_path / "map", 1, 8))
    with psycopg.connect(database_url, autocommit=True) as admin:
        await member.join()
        pid = (await member.link.get()).info.backend_pid
        admin.execute("select pg_terminate_backend(%s, 10000)", [pid])
        await member.leave()
        await member.link.close()
        assert admin.execute("select count(*) from v7.workers").fetchone() == (0,)


async def test_who_was_given_up_while_drained_is_none_of_the_nodes_until_it_is_drained_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would beat under its new row, which takes jobs."""
    member = Member(Settings(), database_url, NodeMap.create(tmp_path / "map", 1, 8))
    await member.join()
    before, member.drained_by = member.id, "ann"

    async def lost(*_: object) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        patched.setattr(queue, "drain_node", lost)
        with pytest.raises(psycopg.OperationalError):
            await member.join()
    assert member.id == before
    await member.join()
    assert member.id > before
    assert await member.beat()
    assert member.drained_by == "ann"
    await member.leave()
    await member.link.close()
