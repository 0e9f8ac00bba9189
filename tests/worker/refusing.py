"""A scheduler on a session of its own whose claims a test makes, and jobs that Postgres does not let be claimed."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog

from v7_task_processor import queue
from v7_task_processor.handlers import Registry
from v7_task_processor.queue import Connection
from v7_task_processor.worker.scheduler import Scheduler

from ..support import event
from .test_scheduler import scheduling

GOOD, BAD = 1, 13
"""Users, of whose jobs one hindrance or the other refuses the second one's."""
MODES = ("plain", "limited", "full", "suspects")
REFUSE = """create function refuse() returns trigger language plpgsql as $$
    begin if new.user_id = 13 and new.status = 'running' then raise 'not this one' using errcode = '{}'; end if;
    return new; end $$;
create {} refuse {} update on v7.jobs {} for each row execute function refuse()"""
HINDRANCES = {
    "a trigger": REFUSE.format("P0001", "trigger", "before", ""),
    "a trigger that waits for the commit": REFUSE.format(
        "P0001", "constraint trigger", "after", "deferrable initially deferred"
    ),
    "a trigger that meets damage": REFUSE.format("XX001", "trigger", "before", ""),
    "a check": "alter table v7.jobs add constraint no_13 check (user_id <> 13 or status <> 'running')",
}
VETO = """
create function refuse() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger refuse before update on v7.jobs for each row
    when (new.user_id = 13 and new.status = 'running') execute function refuse()"""
MEND = "drop function if exists refuse() cascade; alter table v7.jobs drop constraint if exists no_13"


def by_hand(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements.encode())


@pytest.fixture(autouse=True)
def mended(database_url: str) -> Iterator[None]:
    yield
    by_hand(database_url, MEND)


class Claiming:
    """A scheduler whose claims a test makes, on a clock that it sets, and what was logged beside them."""

    def __init__(self, scheduler: Scheduler, logged: list[Any]) -> None:
        self.scheduler, self.logged = scheduler, logged
        self.held: set[tuple[queue.Held, int]] = set()
        scheduler.session.holds = lambda: self.held

    async def claim_all(self, batch: int = 16) -> list[int]:
        """The jobs that it claims until it finds no more, in turn."""
        ids: list[int] = []
        for _ in range(2000):
            claim, worker_id = await self.scheduler.session.attempt(lambda: self.scheduler.claim(batch))
            self.held.update(((job.id, job.attempt), worker_id) for job in claim.jobs)
            ids += [job.id for job in claim.jobs]
            if not claim.more and not await self.end() and not claim.jobs:
                return ids
        raise AssertionError("it never ends")

    async def end(self) -> bool:
        """What runs makes room for more of its type. Whether anything did."""
        if not self.scheduler.limited:
            return False
        ended, self.held = self.held, set()
        for held, worker_id in ended:
            await queue.complete(self.scheduler.session.records, worker_id, [held], kept=True)
        return bool(ended)

    def blamed(self) -> list[int]:
        """Of which jobs an error was logged."""
        return [line["job_id"] for line in self.logged if line["log_level"] == "error"]


@contextlib.asynccontextmanager
async def claiming(
    mode: str, database_url: str, connection: Connection, folder: Path, registry: Registry | None = None
) -> AsyncIterator[Claiming]:
    """`full`: of a limited type that was full before, whose jobs claims look for one by one."""
    registry = registry or Registry()
    async with scheduling(database_url, connection, folder, registry, lone=mode == "suspects") as scheduler:
        if mode in ("limited", "full"):
            await queue.limit_event_type(connection, 1, 1000 if mode == "limited" else 3)
            scheduler.set_limited([1])
            scheduler.full = frozenset({1}) if mode == "full" else frozenset()
        elif mode == "suspects":
            await connection.execute("update v7.jobs set suspect = true")
        with structlog.testing.capture_logs() as logged:
            yield Claiming(scheduler, logged)


async def add(connection: Connection, users: list[int], **given: Any) -> list[int]:
    return await queue.enqueue(connection, [event(user_id=user, **given) for user in users])


def at(*bad: int, of: int = 40) -> list[int]:
    return [BAD if n in bad else GOOD for n in range(of)]


def of_user(ids: list[int], users: list[int], user: int) -> list[int]:
    return [job_id for job_id, each in zip(ids, users, strict=True) if each == user]
