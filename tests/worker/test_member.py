"""A node in the register, and out of it again."""

from pathlib import Path

import psycopg

from v7_task_processor.settings import Settings
from v7_task_processor.worker.node import Member
from v7_task_processor.worker.slots import NodeMap


async def test_it_leaves_also_where_its_connection_broke_since_the_last_beat(database_url: str, tmp_path: Path) -> None:
    """Else others take a node that has ended for one that was lost."""
    member = Member(Settings(), database_url, NodeMap.create(tmp_path / "map", 1, 8), "token")
    with psycopg.connect(database_url, autocommit=True) as admin:
        await member.join()
        pid = (await member.link.get()).info.backend_pid
        admin.execute("select pg_terminate_backend(%s, 10000)", [pid])
        await member.leave()
        await member.link.close()
        assert admin.execute("select count(*) from v7.workers").fetchone() == (0,)
