"""Nothing that was acknowledged is lost, by three records: what clients were told, what handlers did, the tables."""

from collections import Counter
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import embedded

from .faults.cluster import free_port
from .faults.crowd import Crowd
from .nodes import EVENT, Node, node, post, wait_for_end, wait_until

CLIENTS = 16
KILLS = 3


def kill_everything_in_the_middle(one: Node, clients: Crowd) -> None:
    acknowledged, handled = len(clients.acknowledged) + 300, len(one.noted("end")) + 100
    wait_until(lambda: len(clients.acknowledged) > acknowledged, "clients were answered")
    wait_until(lambda: len(one.noted("end")) > handled, "handlers have worked")
    one.kill_tree()


@pytest.mark.fault(3, 4)
@pytest.mark.slow
def test_everything_is_killed_three_times_under_sixteen_clients(tmp_path: Path) -> None:
    port = free_port()
    with node(tmp_path / "node", None, "run", PORT=port, V7_WORKER_PROCESSES=2, LOG_LEVEL="warning") as one:
        one.address()
        with Crowd(("127.0.0.1", port), CLIENTS) as clients:
            for _ in range(KILLS):
                kill_everything_in_the_middle(one, clients)
                one.start("run")
        with embedded.start(one.folder / ".v7") as server:
            wait_for_end(server.url, 90)
            with psycopg.connect(server.url) as connection:
                rows = connection.execute("select id, (event_data->>'n')::int, status from v7.all_jobs").fetchall()
            one.address()  # before it is up a signal ends it by itself
            assert one.stop() == 0
    assert [answer for answer in clients.refused if answer[0] < 500] == []
    table = {job_id: (number, status) for job_id, number, status in rows}
    ended = {job_id for job_id, _, _ in one.noted("end")}
    told = {job_id: (number, "succeeded") for number, job_id in clients.acknowledged.items()}
    assert len(told) == len(clients.acknowledged) > KILLS * 300
    assert {job_id: table.get(job_id) for job_id in told} == told
    assert set(told) <= ended
    assert set(table) == ended
    rows_of = Counter(number for number, _ in table.values())
    assert all(rows_of[number] <= clients.sent[number] for number in rows_of)


@pytest.mark.slow
@pytest.mark.fault(24)
def test_postgres_is_killed_and_comes_back_by_itself(tmp_path: Path) -> None:
    with node(tmp_path / "node", None, "run", PORT=free_port(), V7_WORKER_PROCESSES=1) as one:
        address = one.address()
        assert post(address, EVENT)[0] == 200
        wait_until(lambda: len(one.noted("end")) == 1, "the first was handled")
        [postmaster] = [each for each in one.tree() if "postgres" in each.name() and each.ppid() == one.running.pid]
        postmaster.kill()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
        wait_until(lambda: len(one.noted("end")) >= 2, "and handled")
        assert one.stop() == 0


@pytest.mark.fault(78)
@pytest.mark.slow
def test_only_the_first_of_two_runs_on_one_folder_works(tmp_path: Path) -> None:
    with node(tmp_path / "node", None, "run", PORT=free_port()) as one:
        one.address()
        second = Node(tmp_path / "node", None, PORT=free_port())
        second.output = tmp_path / "second.log"
        second.start("run")
        assert second.running.wait(20) == 78
        assert f"process {one.running.pid}" in second.said()
        assert one.running.poll() is None
