"""One job that Postgres does not let be claimed holds up no other."""

import asyncio
import contextlib
import random
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import queue
from v7_task_processor.handlers import Handler, Registry
from v7_task_processor.job import Job
from v7_task_processor.maintenance import REFUSED_SECONDS
from v7_task_processor.queue import Connection
from v7_task_processor.worker import passed_over
from v7_task_processor.worker.frontier import PLAIN_SECONDS_MAX
from v7_task_processor.worker.slots import now

from ..support import event, rows
from .refusing import BAD, GOOD, HINDRANCES, MEND, MODES, VETO, add, at, by_hand, claiming, of_user
from .refusing import mended as mended


@pytest.mark.fault(48)
@pytest.mark.parametrize("users", [at(0), at(17), at(39), at(0, 1, 2, 9, 30, 39)], ids=["head", "middle", "end", "all"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hindrance", HINDRANCES)
async def test_a_job_that_is_refused_is_named_once_and_all_others_are_claimed_in_order(
    database_url: str, connection: Connection, tmp_path: Path, hindrance: str, mode: str, users: list[int]
) -> None:
    ids = await add(connection, users)
    async with claiming(mode, database_url, connection, tmp_path) as one:
        by_hand(database_url, HINDRANCES[hindrance])
        assert await one.claim_all() == of_user(ids, users, GOOD)
        assert one.blamed() == of_user(ids, users, BAD)
        said = {line["error"] for line in one.logged if line["log_level"] == "error"}
        assert len(said) == 1 and ("not this one" in said.pop()) == ("trigger" in hindrance)
        left = "select id, attempt, retry_count from v7.jobs where status = 'queued' order by id"
        assert await rows(connection, left) == [(job_id, 0, 0) for job_id in one.blamed()]
        assert await one.claim_all() == []
        assert len(one.blamed()) == users.count(BAD), "once"


@pytest.mark.slow
@pytest.mark.fault(48)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mode", ["plain", "limited"])
async def test_whatever_is_refused_and_whenever_it_came_the_rest_is_in_order(
    database_url: str, connection: Connection, tmp_path: Path, mode: str, seed: int
) -> None:
    chance = random.Random(seed)
    by_hand(database_url, HINDRANCES["a trigger"])
    bad: set[int] = set()
    waiting: list[tuple[int, int]] = []
    async with claiming(mode, database_url, connection, tmp_path) as one:
        for _ in range(120):
            if chance.random() < 0.15:
                users = [chance.choice([GOOD, GOOD, GOOD, GOOD, BAD]) for _ in range(12)]
                priorities = [chance.randrange(3) for _ in users]
                given = zip(users, priorities, strict=True)
                ids = await queue.enqueue(connection, [event(each, user_id=user) for user, each in given])
                bad.update(of_user(ids, users, BAD))
                waiting += [each for each in zip(priorities, ids, strict=True) if each[1] not in bad]
            claim, _ = await one.scheduler.session.attempt(lambda: one.scheduler.claim(chance.randint(1, 10)))
            waiting.sort()
            assert [job.id for job in claim.jobs] == [job_id for _, job_id in waiting[: len(claim.jobs)]]
            del waiting[: len(claim.jobs)]
        assert await one.claim_all() == [job_id for _, job_id in sorted(waiting)]
        assert sorted(one.blamed()) == sorted(bad) != []


@pytest.mark.fault(48)
@pytest.mark.parametrize("mode", MODES)
async def test_what_was_passed_over_is_tried_again_after_a_minute(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    later = 0.0
    monkeypatch.setattr("v7_task_processor.worker.scheduler.now", lambda: now() + later)
    users = at(0, 5, of=8)
    ids = await add(connection, users)
    bad = of_user(ids, users, BAD)
    async with claiming(mode, database_url, connection, tmp_path) as one:
        by_hand(database_url, HINDRANCES["a trigger"])
        await one.claim_all()
        later += REFUSED_SECONDS + PLAIN_SECONDS_MAX
        assert await one.claim_all() == []
        assert one.blamed() == bad + bad
        by_hand(database_url, MEND)
        assert await one.claim_all() == []
        later += REFUSED_SECONDS + PLAIN_SECONDS_MAX
        assert await one.claim_all() == bad
        assert len(one.blamed()) == 4
        assert not one.scheduler.passed_over.until


@pytest.mark.fault(48)
async def test_a_job_that_a_hand_moves_is_tried_at_once(
    database_url: str, connection: Connection, tmp_path: Path
) -> None:
    ids = await add(connection, at(0, of=3))
    async with claiming("plain", database_url, connection, tmp_path) as one:
        by_hand(database_url, HINDRANCES["a trigger"])
        assert await one.claim_all() == ids[1:]
        await connection.execute(
            "update v7.jobs set user_id = 1, position = nextval('v7.position') where id = %s", ids[:1]
        )
        assert await one.claim_all() == ids[:1]


@pytest.mark.fault(48)
async def test_what_is_claimed_after_the_look_is_under_the_identity_of_then(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with claiming("plain", database_url, connection, tmp_path) as one:
        session = one.scheduler.session
        session.worker_id, later = 0, session.worker_id

        async def looked(*_: Any) -> list[queue.Unclaimable]:
            session.worker_id = later
            return [queue.Unclaimable(0, 0, ValueError())]

        monkeypatch.setattr(queue, "unclaimable", looked)
        ids = await add(connection, at(of=1))
        one.scheduler.asked = queue.Asked(1, one.scheduler.served, queue.BEGINNING)
        one.scheduler.unread = ValueError()
        claim, worker_id = await one.scheduler.claim(1)
        assert ([job.id for job in claim.jobs], worker_id) == (ids, later)


@pytest.mark.fault(48)
async def test_of_more_than_it_can_pass_over_it_says_so_and_goes_on_when_it_may(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passed_over, "REFUSED_MAX", 2)
    ids = await add(connection, at(0, 1, 2, of=5))
    async with claiming("plain", database_url, connection, tmp_path) as one:
        by_hand(database_url, HINDRANCES["a trigger"])
        claims = asyncio.create_task(one.claim_all())
        async with asyncio.timeout(60):
            while not any(line["log_level"] == "warning" for line in one.logged):
                await asyncio.sleep(0.01)
        assert one.blamed() == ids[:2]
        by_hand(database_url, MEND)
        async with asyncio.timeout(60):
            assert await claims == ids[2:]


@pytest.mark.fault(48)
async def test_what_came_between_a_refusal_and_the_look_for_its_cause_is_not_blamed(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial of each is what tells."""
    came: list[int] = []
    unclaimable = queue.unclaimable

    async def late(*given: Any) -> list[queue.Unclaimable]:
        if not came:
            came.extend(await add(connection, [GOOD], priority=-1))
        return await unclaimable(*given)

    monkeypatch.setattr(queue, "unclaimable", late)
    ids = await add(connection, at(0, of=5))
    async with claiming("plain", database_url, connection, tmp_path) as one:
        by_hand(database_url, HINDRANCES["a trigger"])
        assert await one.claim_all() == came + ids[1:]
        assert one.blamed() == ids[:1]


@pytest.mark.slow
@pytest.mark.fault(48)
@pytest.mark.parametrize("mode", ["plain", "limited", "suspects"])
async def test_several_workers_blame_nobody_who_is_innocent(
    database_url: str, connection: Connection, tmp_path: Path, mode: str
) -> None:
    users = [BAD if n % 5 == 0 else GOOD for n in range(150)]
    ids = await add(connection, users)
    async with contextlib.AsyncExitStack() as stack:
        many = []
        for n in range(4):
            (tmp_path / str(n)).mkdir()
            many.append(await stack.enter_async_context(claiming(mode, database_url, connection, tmp_path / str(n))))
        by_hand(database_url, HINDRANCES["a trigger"])
        claimed = await asyncio.wait_for(asyncio.gather(*[one.claim_all(7) for one in many]), 60)
        assert sorted(job_id for each in claimed for job_id in each) == of_user(ids, users, GOOD)
        assert {job_id for one in many for job_id in one.blamed()} == set(of_user(ids, users, BAD))


@pytest.mark.fault(48)
async def test_a_guard_of_how_many_may_be_changed_at_once_is_nobodys_fault(
    database_url: str, connection: Connection, tmp_path: Path
) -> None:
    ids = await add(connection, at())
    async with claiming("plain", database_url, connection, tmp_path) as one:
        guard = """create function refuse() returns trigger language plpgsql as $$
            begin if (select count(*) from changed) > 5 then raise 'not so many'; end if; return null; end $$;
            create trigger refuse after update on v7.jobs referencing new table as changed
            for each statement execute function refuse()"""
        by_hand(database_url, guard)
        assert await one.claim_all() == ids
        assert one.blamed() == []


@pytest.mark.fault(48)
async def test_the_worker_goes_on_with_its_handlers(database_url: str, connection: Connection, tmp_path: Path) -> None:
    ran: list[int] = []

    async def runs(job: Job) -> None:
        ran.append(job.id)
        if len(ran) == 37:
            one.scheduler.executor.drain()

    registry = Registry()
    registry.add(None, Handler(runs, True, None, None))
    users = at(0, 17, 20)
    ids = await add(connection, users)
    async with claiming("plain", database_url, connection, tmp_path, registry) as one:
        by_hand(database_url, HINDRANCES["a trigger"])
        async with asyncio.timeout(60):
            await one.scheduler.run()
    assert ran == of_user(ids, users, GOOD)


@pytest.mark.fault(48)
async def test_a_lone_worker_lives_on_while_it_passes_over_a_suspect(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be started again at once, to meet it again."""
    monkeypatch.setattr("v7_task_processor.worker.scheduler.POLL_SECONDS", 0.01)
    (bad,) = await add(connection, [BAD])
    async with claiming("suspects", database_url, connection, tmp_path) as one:
        by_hand(database_url, HINDRANCES["a trigger"])
        looks = 0
        claim_suspect = one.scheduler.claim_suspect

        async def counted(worker_id: int) -> queue.Claim:
            nonlocal looks
            looks += 1
            return await claim_suspect(worker_id)

        monkeypatch.setattr(one.scheduler, "claim_suspect", counted)
        running = asyncio.create_task(one.scheduler.run())
        async with asyncio.timeout(60):
            while looks < 20:
                await asyncio.sleep(0.01)
        assert (one.blamed(), one.scheduler.empty_claims) == ([bad], 0)
        await connection.execute("delete from v7.jobs")
        one.scheduler.passed_over.until.clear()
        async with asyncio.timeout(60):
            while one.scheduler.empty_claims < 5:
                await asyncio.sleep(0.01)
        running.cancel()


@pytest.mark.fault(48)
@pytest.mark.parametrize("batch", [1, 16])
async def test_a_trigger_that_vetoes_without_a_word_is_named_as_well(
    database_url: str, connection: Connection, tmp_path: Path, batch: int
) -> None:
    """Its row is found and not changed, for ever: without an error a worker would ask again at once, and again."""
    users = at(0, 1, 20)
    ids = await add(connection, users)
    async with claiming("plain", database_url, connection, tmp_path) as one:
        by_hand(database_url, VETO)
        assert sorted(await one.claim_all(batch)) == of_user(ids, users, GOOD)
        assert sorted(one.blamed()) == of_user(ids, users, BAD)
        assert {line["error"] for line in one.logged} == {"a trigger leaves it as it is, without a word"}
        claim, _ = await one.scheduler.claim(batch)
        assert not claim.jobs and not claim.more
