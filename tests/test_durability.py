"""Nothing that was acknowledged is lost, by three records: what clients were told, what handlers did, the tables."""

import json
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import embedded

from .nodes import Node, node, post, wait_for_end, wait_until

CLIENTS = 16
KILLS = 3


class Clients:
    """So many clients that post as fast as they are answered, and note what they were told."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.sent: Counter[int] = Counter()
        self.acknowledged: dict[int, int] = {}
        self.refused: list[str] = []
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, client: int) -> None:
        number = client
        while not self.stopped.is_set():
            self.sent[number] += 1
            body = {"user_id": client, "priority": number % 7, "event_data": {"n": number}, "event_type_id": 1}
            try:
                status, text = post(self.address, body)
            except OSError:  # not known: it may be there or not
                time.sleep(0.05)
            else:
                if status == 200:
                    self.acknowledged[number] = json.loads(text)["id"]
                elif status < 500:
                    self.refused.append(text)
            number += CLIENTS

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def kill_everything_in_the_middle(one: Node, clients: Clients) -> None:
    acknowledged, handled = len(clients.acknowledged) + 300, len(one.noted("end")) + 100
    wait_until(lambda: len(clients.acknowledged) > acknowledged, "clients were answered")
    wait_until(lambda: len(one.noted("end")) > handled, "handlers have worked")
    one.kill_tree()


@pytest.mark.fault(3, 4)
def test_everything_is_killed_three_times_under_sixteen_clients(tmp_path: Path) -> None:
    port = free_port()
    with node(tmp_path / "node", None, "run", PORT=port, V7_WORKER_PROCESSES=2, LOG_LEVEL="warning") as one:
        one.address()
        clients = Clients(("127.0.0.1", port))
        try:
            for _ in range(KILLS):
                kill_everything_in_the_middle(one, clients)
                one.start("run")
        finally:
            clients.stop()
        with embedded.start(one.folder / ".v7") as server:
            wait_for_end(server.url, 90)
            with psycopg.connect(server.url) as connection:
                rows = connection.execute("select id, (event_data->>'n')::int, status from v7.all_jobs").fetchall()
            assert one.stop() == 0
    assert clients.refused == []
    table = {job_id: (number, status) for job_id, number, status in rows}
    ended = {job_id for job_id, _, _ in one.noted("end")}
    told = {job_id: (number, "succeeded") for number, job_id in clients.acknowledged.items()}
    assert len(told) == len(clients.acknowledged) > KILLS * 300
    assert {job_id: table.get(job_id) for job_id in told} == told
    assert set(told) <= ended
    assert set(table) == ended
    rows_of = Counter(number for number, _ in table.values())
    assert all(rows_of[number] <= clients.sent[number] for number in rows_of)


@pytest.mark.fault(24)
def test_postgres_is_killed_and_comes_back_by_itself(tmp_path: Path) -> None:
    with node(tmp_path / "node", None, "run", PORT=free_port(), V7_WORKER_PROCESSES=1) as one:
        address = one.address()
        event = {"user_id": 1, "priority": 1, "event_data": {}, "event_type_id": 1}
        assert post(address, event)[0] == 200
        wait_until(lambda: len(one.noted("end")) == 1, "the first was handled")
        [postmaster] = [each for each in one.tree() if "postgres" in each.name() and each.ppid() == one.running.pid]
        postmaster.kill()
        wait_until(lambda: post(address, event)[0] == 200, "events are taken again")
        wait_until(lambda: len(one.noted("end")) >= 2, "and handled")
        assert one.stop() == 0


@pytest.mark.fault(78)
def test_only_the_first_of_two_runs_on_one_folder_works(tmp_path: Path) -> None:
    with node(tmp_path / "node", None, "run", PORT=free_port()) as one:
        one.address()
        second = Node(tmp_path / "node", None, PORT=free_port())
        second.output = tmp_path / "second.log"
        second.start("run")
        assert second.running.wait(20) == 78
        assert f"process {one.running.pid}" in second.said()
        assert one.running.poll() is None
