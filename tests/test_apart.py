"""One database, and nodes that each do a part: one takes events in, others handle certain types."""

import json
from pathlib import Path

import pytest

from .nodes import check_books, node, post, wait_for_end, wait_until

TWO_AND_THE_REST = """
@handler(event_type_id=2)
async def second(job):
    note("start", job)

@handler()
async def handle(job):
    note("start", job)
"""
TYPES = (1, 2, 3, -4)


@pytest.mark.slow
def test_each_node_handles_its_types_and_the_others_wait(database_url: str, tmp_path: Path) -> None:
    with node(tmp_path / "api", database_url, "api") as api:
        address = api.address()

        def send() -> dict[int, int]:
            """An event of each type; the types by their ids."""
            found = {}
            for number in TYPES:
                status, text = post(address, {"user_id": 1, "priority": 1, "event_data": {}, "event_type_id": number})
                assert status == 200
                found[json.loads(text)["id"]] = number
            return found

        sent = send()
        with node(tmp_path / "a", database_url, handlers=TWO_AND_THE_REST, V7_TYPES="2, 3") as a:
            wait_until(lambda: len(a.starts()) == 2, "it handles its types")
            with node(tmp_path / "b", database_url, handlers=TWO_AND_THE_REST, V7_TYPES="-4,1") as b:
                wait_until(lambda: len(b.starts()) == 2, "it handles the others")
                sent |= send()
                wait_for_end(database_url)
                assert {sent[job_id] for job_id, _, _ in a.starts()} == {2, 3}
                assert {sent[job_id] for job_id, _, _ in b.starts()} == {-4, 1}
                check_books(database_url, a, b)
                assert [each.stop() for each in (a, b, api)] == [0, 0, 0]


def test_a_type_that_no_handler_serves_is_a_mistake(database_url: str, tmp_path: Path) -> None:
    only = """
@handler(event_type_id=2)
async def second(job):
    pass
"""
    with node(tmp_path / "a", database_url, handlers=only, V7_TYPES="2,3") as a:
        assert a.running.wait(60) == 78
        assert "V7_TYPES: no handler serves 3. The handlers serve 2." in a.said()
