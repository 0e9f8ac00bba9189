"""Limits of event types, by real nodes: how many ran at once is read from what the handlers wrote."""

from collections import defaultdict
from pathlib import Path

import psycopg
import pytest

from .nodes import enqueue, node, wait_for_end, wait_until
from .test_drain import beat

HANDLERS = """
import os
SHARED = os.open({shared!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@handler()
async def handle(job):
    note("start", job)
    os.write(SHARED, f"start {{job.event_type_id}} {{job.id}} {{os.getpid()}}\\n".encode())
    if "gate" in job.event_data:
        while not os.path.exists(f"{{job.event_data['gate']}}-{{job.id}}"):
            await asyncio.sleep(0.01)
    else:
        await asyncio.sleep(job.event_data["seconds"])
    os.write(SHARED, f"end {{job.event_type_id}} {{job.id}} {{os.getpid()}}\\n".encode())
"""


def limit(url: str, event_type_id: int, number: int | None) -> None:
    """As somebody does it by SQL, who tells nobody."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into v7.event_types (event_type_id, concurrency_limit) values (%s, %s) "
            "on conflict (event_type_id) do update set concurrency_limit = excluded.concurrency_limit",
            [event_type_id, number],
        )


def add(url: str, count: int, types: int) -> None:
    """So many of each type, in turn."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "select v7.enqueue(1 + i %% %s, 1, 1, %s) from generate_series(1, %s) i",
            [types, '{"seconds": 0.003}', types * count],
        )


def most_at_once(log: Path, killed: int) -> dict[int, int]:
    """By type, over all processes. What the one that was killed ran has ended with its last line."""
    lines = [line.split() for line in log.read_text().splitlines()]
    last = max((n for n, line in enumerate(lines) if int(line[3]) == killed), default=-1)
    running: dict[int, set[tuple[str, str]]] = defaultdict(set)
    most: dict[int, int] = defaultdict(int)
    for n, (what, kind, job_id, pid) in enumerate(lines):
        own = running[int(kind)]
        if what == "start":
            own.add((job_id, pid))
        else:
            own.discard((job_id, pid))
        most[int(kind)] = max(most[int(kind)], len(own))
        if n == last:
            for each in running.values():
                each -= {one for one in each if one[1] == str(killed)}
    return most


def test_two_nodes_never_run_more_of_a_type_than_its_limit_even_over_a_crash(database_url: str, tmp_path: Path) -> None:
    log = tmp_path / "shared.log"
    handlers = HANDLERS.format(shared=str(log))
    limit(database_url, 1, 1)
    limit(database_url, 2, 5)
    with (
        node(tmp_path / "a", database_url, handlers=handlers, V7_WORKER_PROCESSES=2) as a,
        node(tmp_path / "b", database_url, handlers=handlers, V7_WORKER_PROCESSES=2) as b,
    ):
        wait_until(lambda: len(a.workers()) == 2 and len(b.workers()) == 2, "both work")
        add(database_url, 150, types=3)
        wait_until(lambda: log.exists() and log.read_text().count("end 1 ") > 20, "it is in the middle")
        victim = a.workers()[0]
        victim.kill()
        wait_for_end(database_url)
    most = most_at_once(log, victim.pid)
    assert most[1] == 1
    assert most[2] <= 5
    assert most[3] > 5, "what has no limit is not held"
    with psycopg.connect(database_url) as connection:
        ended = connection.execute("select event_type_id, count(*) from v7.finished_jobs group by 1 order by 1")
        assert ended.fetchall() == [(1, 150), (2, 150), (3, 150)]


def test_a_limit_may_be_set_lowered_raised_and_taken_away_while_jobs_run(database_url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    handlers = HANDLERS.format(shared=str(tmp_path / "shared.log"))
    limit(database_url, 1, 2)
    ids = enqueue(database_url, {"gate": str(gate)}, count=7)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_WORKER_PROCESSES=1, V7_CONCURRENCY=20) as one:

        def started(count: int) -> None:
            wait_until(lambda: len(one.starts()) >= count, f"{count} have started")
            assert [job_id for job_id, _, _ in one.starts() if job_id in ids] == ids[:count]

        def end(job_id: int) -> None:
            Path(f"{gate}-{job_id}").touch()
            with psycopg.connect(database_url, autocommit=True) as connection:
                gone = "select not exists (select from v7.jobs where id = %s)"
                wait_until(lambda: connection.execute(gone, [job_id]).fetchone() == (True,), f"{job_id} has ended")

        started(2)
        end(ids[0])
        started(3)
        limit(database_url, 1, 1)
        end(ids[1])
        later = enqueue(database_url, {"seconds": 0}, event_type_id=2)
        wait_until(lambda: later[0] in [job_id for job_id, _, _ in one.starts()], "one came that was claimed later")
        assert [job_id for job_id, _, _ in one.starts() if job_id in ids] == ids[:3]
        limit(database_url, 1, 3)
        wait_until(lambda: len(one.starts()) == 6, "two more have started")
        limit(database_url, 1, None)
        wait_until(lambda: len(one.starts()) == 8, "all have started")
        assert [job_id for job_id, _, _ in one.starts() if job_id in ids] == ids
        for job_id in ids:
            Path(f"{gate}-{job_id}").touch()
        wait_for_end(database_url)


@pytest.mark.slow
def test_a_suspect_of_a_type_with_a_backlog_has_its_room_and_no_lone_worker_is_started_in_vain(
    database_url: str, tmp_path: Path
) -> None:
    """Two workers fill each room within milliseconds; a lone one looks once a second."""
    noting = "\nos.write(LOG, f'load 0 0 {os.getpid()}\\n'.encode())\n"
    handlers = HANDLERS.format(shared=str(tmp_path / "shared.log")) + noting
    gate = tmp_path / "gate"
    limit(database_url, 1, 1)
    [holder] = enqueue(database_url, {"gate": str(gate)})
    backlog = enqueue(database_url, {"seconds": 1}, count=200)
    [guilty] = enqueue(database_url, {"seconds": 0.2}, priority=9)
    with node(tmp_path / "node", database_url, handlers=handlers, V7_WORKER_PROCESSES=2) as one:

        def lone() -> set[int]:
            return {pid for _, _, pid in one.noted("load")} - ordinary

        def begun(job_ids: list[int]) -> list[int]:
            return [job_id for job_id, _, _ in one.starts() if job_id in job_ids]

        wait_until(lambda: begun([holder]) and len(one.noted("load")) == 2, "it runs, and both work")
        ordinary = {pid for _, _, pid in one.noted("load")}
        with psycopg.connect(database_url) as connection:
            connection.execute("update v7.jobs set suspect = true where id = %s", [guilty])
        for _ in range(2):
            beat(database_url)  # time enough for a lone worker, on a slow machine too
        assert not lone(), "there is no room for it"
        Path(f"{gate}-{holder}").touch()
        wait_until(lambda: begun([guilty]), "it runs")
        assert one.starts()[-1][2] in lone() and len(lone()) <= 2
        before = len(begun(backlog))
        wait_until(lambda: len(begun(backlog)) > before + 10, "the others go on")
        assert before < 20 and len(lone()) <= 2
