"""The files of sql/, and what the statements of the queue promise together."""

import re
from importlib import resources
from types import ModuleType
from typing import Any

import pytest

from v7_task_processor import overview, queue
from v7_task_processor.overview.look import Look
from v7_task_processor.queue import BEGINNING, Connection, Failure, Statement, literal
from v7_task_processor.sqlfile import PART
from v7_task_processor.worker.session import CLAIMS

from .support import EVERYTHING, add, entered, event, rows, take, worker

FOLDER = resources.files("v7_task_processor") / "sql"
FILES, PARTS = (
    {file.name.removesuffix(".sql"): file.read_text() for file in folder.iterdir() if file.is_file()}
    for folder in (FOLDER, FOLDER / "parts")
)
AT_COMMIT = """
create table seen (setting text not null);
create function see() returns trigger language plpgsql as $$
    begin insert into seen values (current_setting('synchronous_commit')); return null; end $$;
create constraint trigger at_commit after insert or update or delete on v7.jobs
    deferrable initially deferred for each row execute function see();
create constraint trigger at_commit after insert or update on v7.idempotency_keys
    deferrable initially deferred for each row execute function see()"""
"""Notes how each transaction that changes a job is about to be committed."""


def test_every_statement_is_loaded_by_one_of_two_packages() -> None:
    acts, looks = texts(queue), texts(overview)
    by_acts = {name for name in FILES if Statement(name).text in acts}
    by_looks = {name for name in FILES if Look(name).text in looks}
    assert by_acts | by_looks == set(FILES)
    assert not by_acts & by_looks


def texts(package: ModuleType) -> set[str]:
    """The statements in its modules."""
    parts = [part for part in vars(package).values() if isinstance(part, ModuleType)]
    each = [thing for part in parts for thing in vars(part).values()]
    return {thing.text for thing in each if isinstance(thing, Statement | Look)}


@pytest.mark.parametrize("text", (FILES | PARTS).values(), ids=FILES | PARTS)
def test_every_statement_says_why_it_is_there_and_casts_what_it_is_given(text: str) -> None:
    assert text.startswith("-- ")
    assert max(map(len, text.splitlines())) <= 120
    uncast = re.findall(r"(?<!:):[a-z_]+\b(?!::)", re.sub("--.*", "", text))
    assert uncast == []


def test_every_part_stands_in_several_statements() -> None:
    used = [name for text in FILES.values() for name in PART.findall(re.sub("--.*", "", text))]
    assert {name for name in used if used.count(name) > 1} == set(PARTS)


def test_placeholders_become_numbers_and_casts_stay() -> None:
    statement = Statement("beat")
    assert statement.names == ["node_id"]
    assert "id = $1::bigint" in statement.text
    assert "--" not in statement.text


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (1, "1"),
        (-(2**63), "-9223372036854775808"),
        (0.5, "0.5"),
        ([1, 2**62], "{1,4611686018427387904}"),
        ([], "{}"),
        ([0.25, 1e-7], "{0.25,1e-07}"),
        (True, True),
        ([True], [True]),
        ("1", "1"),
        (["a", None], ["a", None]),
        (None, None),
    ],
)
def test_numbers_go_as_text_and_the_rest_as_it_is(value: object, becomes: object) -> None:
    assert literal(value) == becomes


@pytest.mark.parametrize(("default", "becomes"), [("off", "on"), ("local", "on"), ("remote_apply", "remote_apply")])
async def test_acknowledged_words_are_durable_whatever_the_sessions_default(
    connection: Connection, default: str, becomes: str
) -> None:
    """What is stronger than on is kept."""
    await connection.execute(AT_COMMIT.encode(), prepare=False)
    await connection.execute(f"set synchronous_commit = {default}")
    worker_id = await worker(connection)

    async def held() -> int:
        await connection.execute("delete from v7.jobs")
        await connection.execute("select v7.enqueue(1, 1, 1, '1')")
        (job,) = await take(connection, worker_id)
        await connection.execute("delete from seen")
        return job.id

    async def seen(what: str, answer: Any) -> None:
        settings = [setting for (setting,) in await rows(connection, "select distinct setting from seen")]
        assert (what, settings, bool(answer)) == (what, [becomes], True)
        assert await rows(connection, "show synchronous_commit") == [(default,)]
        await connection.execute("delete from seen")

    await seen("enqueue", await queue.enqueue(connection, [event()]))
    for _ in range(2):  # the second finds the key, and must wait for the standby all the same
        await seen("enqueue once", await queue.enqueue_once(connection, [event(key="k")]))
    for kept in (True, False):
        await seen("complete", await queue.complete(connection, worker_id, [(await held(), 1)], kept=kept))
    for delay in (0, 60):
        failure = Failure(await held(), 1, delay, "E", "m")
        await seen("fail", await queue.fail(connection, worker_id, "w", [failure]))
    await seen("snooze", await queue.snooze(connection, worker_id, [(await held(), 1, 60)]))


async def test_only_claims_commit_asynchronously(connection: Connection) -> None:
    await connection.execute(AT_COMMIT.encode(), prepare=False)
    for name, value in CLAIMS.items():
        await connection.execute("select set_config(%s, %s, false)", [name, value])
    await queue.enqueue(connection, [event()])
    await connection.execute("delete from seen")
    await take(connection, await worker(connection))
    assert await rows(connection, "select setting from seen") == [("off",)]


async def test_a_callers_transaction_becomes_durable_with_its_word(connection: Connection) -> None:
    await connection.execute("set synchronous_commit = off")
    async with connection.transaction():
        await add(connection)
        assert await rows(connection, "show synchronous_commit") == [("on",)]
    assert await rows(connection, "show synchronous_commit") == [("off",)]


async def test_a_worker_that_speaks_all_day_prepares_each_statement_a_few_times(connection: Connection) -> None:
    """Whatever texts are null and however large numbers are: each plan is made once, and kept."""
    worker_id = await entered(connection, None)
    for texts in (None, "text"):
        for number in (1, 2**40):
            await connection.execute(f"select setval('v7.jobs_id_seq', {number})")
            await add(connection, 6, priority=number)
            jobs = (await queue.claim(connection, worker_id, 6, BEGINNING, EVERYTHING)).jobs
            held = [(job.id, job.attempt) for job in jobs]
            failures = [Failure(*each, number % 2, "E", "m", texts, texts) for each in held[:2]]
            await queue.fail(connection, worker_id, "w", failures)
            await queue.snooze(connection, worker_id, [(*each, 0.5) for each in held[2:3]])
            await queue.release(connection, worker_id, held[3:4])
            await queue.complete(connection, worker_id, held[4:], kept=True)
            await connection.execute("delete from v7.jobs")
    prepared = "select count(*) from pg_prepared_statements where statement ~ '(from|into|update) v7.jobs'"
    ((count,),) = await rows(connection, prepared)
    assert count <= 12
