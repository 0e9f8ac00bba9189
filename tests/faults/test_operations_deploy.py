"""Nodes are replaced one after the other, under load."""

import contextlib
import http.client
import json
import threading
import time
from pathlib import Path

import pytest

from ..nodes import Node, check_books, jobs, node, post, wait_for_end, wait_until
from .cluster import Cluster
from .looks import Record

SWAPS = 3


class Client:
    """Sends one event after the other, each until one of the nodes that are up takes it."""

    def __init__(self) -> None:
        self.addresses: list[tuple[str, int]] = []
        self.acknowledged: list[int] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stopped.is_set():
            number = len(self.acknowledged)
            data = {"do": "sleep", "seconds": 1.0 if number % 20 == 0 else 0.01}
            body = {"user_id": number, "priority": number % 5, "event_data": data, "event_type_id": 1}
            while (job_id := self.send(body, str(number))) is None:
                pass
            self.acknowledged.append(job_id)

    def send(self, body: object, key: str) -> int | None:
        for address in list(self.addresses):
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, text = post(address, body, **{"Idempotency-Key": key})
                if status == 200:
                    return int(json.loads(text)["id"])
        return None

    def stop(self) -> None:
        self.stopped.set()
        if self.thread.is_alive():
            self.thread.join()


@pytest.mark.slow
@pytest.mark.fault(74)
def test_two_nodes_are_replaced_in_turn_under_load(cluster: Cluster, tmp_path: Path, record_property: Record) -> None:
    """What an old node has started ends there; each event runs once, and is acknowledged by one or the other."""
    nodes: list[Node] = []
    client = Client()
    with contextlib.ExitStack() as stack:

        def bring_up() -> Node:
            folder = tmp_path / f"node{len(nodes)}"
            nodes.append(stack.enter_context(node(folder, cluster.url, "run", V7_SHUTDOWN_SECONDS=20)))
            client.addresses.append(nodes[-1].address())
            return nodes[-1]

        bring_up()
        bring_up()
        client.thread.start()
        stack.callback(client.stop)
        for swap in range(SWAPS):
            old, address = nodes[swap], client.addresses[0]
            running = len(old.starts())
            wait_until(lambda: len(old.starts()) > running + 30, "it works")  # noqa: B023
            began = time.monotonic()
            bring_up()
            client.addresses.remove(address)
            assert old.stop() == 0
            record_property("recovery_seconds", time.monotonic() - began)
            assert sorted(old.noted("end")) == sorted(old.starts())
        client.stop()
        wait_for_end(cluster.url)
        check_books(cluster.url, *nodes)
        for last in nodes[-2:]:
            assert last.stop() == 0
    assert jobs(cluster.url) == [(job_id, "succeeded", 0) for job_id in sorted(client.acknowledged)]
    assert sorted(job_id for each in nodes for job_id, _, _ in each.starts()) == sorted(client.acknowledged)
