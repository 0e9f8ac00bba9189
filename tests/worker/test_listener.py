"""Hints that workers hear of."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from v7_task_processor import database
from v7_task_processor.worker import listener as module
from v7_task_processor.worker.listener import CHANNEL, Listener


class Heard:
    """In the place of a scheduler."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.looked_everywhere = 0

    def look_everywhere(self) -> None:
        self.looked_everywhere += 1


async def test_a_hint_that_comes_with_another_is_not_lost(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was rescued would wait for the next claim that looks at everything."""
    monkeypatch.setattr(module, "POLL_SECONDS", 60.0)
    heard, session = (
        Heard(),
        SimpleNamespace(assignment=SimpleNamespace(settings=SimpleNamespace(session_url=database_url))),
    )
    listener = Listener(cast("Any", session), cast("Any", heard), cast("Any", None))
    async with await database.connect(database_url) as connection, await database.connect(database_url) as sender:
        await connection.execute(f"listen {CHANNEL}")
        async with sender.transaction():  # so both are sent at once
            await sender.execute(
                "select pg_notify(%s, word) from unnest(%s::text[]) word", [CHANNEL, ["cancelled", "back"]]
            )
        async with asyncio.timeout(60):
            await listener.hear(connection)
    assert heard.looked_everywhere == 1
    assert heard.wake.is_set()
