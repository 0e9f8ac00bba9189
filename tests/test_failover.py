"""A primary is lost, and with it what no standby had heard of. Named for the disasters."""

import json
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import database, maintenance, queue, unavailable
from v7_task_processor.cli import root

from .nodes import EVENT, node, post, wait_until
from .standbys import catch_up, cut_off, either, primary, standby, value


def sent(address: tuple[str, int], count: int) -> list[int]:
    """The ids that so many events were answered with."""
    answers = [post(address, EVENT) for _ in range(count)]
    assert {status for status, _ in answers} == {200}
    return [json.loads(text)["id"] for _, text in answers]


@pytest.mark.fault(35)
@pytest.mark.slow
def test_a_failover_that_lost_the_last_events_gives_out_none_of_their_ids_again(tmp_path: Path) -> None:
    """`v7 run` on the address of both servers, through all of it."""
    with primary(tmp_path / "a") as first, standby(first, tmp_path / "b", "b") as second:
        with node(tmp_path / "node", either(second, first), "run", V7_WORKER_PROCESSES=1) as one:
            address = one.address()
            kept = sent(address, 20)
            wait_until(lambda: {job_id for job_id, _, _ in one.noted("end")} == set(kept), "they are handled")
            catch_up(second, first)
            cut_off(second)
            lost = sent(address, 20)
            wait_until(lambda: {job_id for job_id, _, _ in one.noted("end")} >= set(lost), "they are handled, too")
            identities = "select max(id) from v7.workers"
            old_worker, old_position = value(first, identities), value(first, "select last_value from v7.position")
            assert isinstance(old_worker, int)
            assert isinstance(old_position, int)
            first.kill()
            second.promote()
            wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again")
            after = sent(address, 20)
            wait_until(lambda: {job_id for job_id, _, _ in one.noted("end")} >= set(after), "and handled")
            wait_until(lambda: value(second, f"select count(*) from v7.workers where id > {old_worker}"), "as others")
            assert one.stop() == 0
        said = one.said()
        found = value(second, "select array[min(id), max(id), min(position)] from v7.finished_jobs where id > 20")
        timeline = value(second, "select timeline from v7.server")
    assert not {*kept, *lost} & set(after)
    assert min(after) > max(lost) + 900_000
    assert isinstance(found, list)
    assert found[0] > max(lost)
    assert found[2] > old_position
    assert timeline == 2
    assert said.count("server.changed") == 1


@pytest.mark.slow
@pytest.mark.fault(35)
async def test_a_crash_of_the_server_is_no_failover(tmp_path: Path) -> None:
    with primary(tmp_path / "a") as server:
        for _ in range(2):
            async with await database.connect(server.url) as connection:
                assert await queue.recognise(connection) is None
            server.kill()
            server.start()
        assert value(server, "select timeline from v7.server") == 1


@pytest.mark.slow
async def test_a_standby_says_that_it_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes gets no connection; who only reads does."""
    monkeypatch.setenv("V7_HANDLERS", "")
    with primary(tmp_path / "a") as first, standby(first, tmp_path / "b", "b") as second:
        with pytest.raises(psycopg.OperationalError, match=unavailable.READ_ONLY):
            await database.connect(second.url)
        async with await database.connect(either(second, first)) as connection:
            await maintenance.recognise(connection)
        for command in ("run", "api", "worker"):
            assert (
                root.run([command, "--database-url", second.url, "--port", "0"][: 3 if command == "worker" else 5])
                == 69
            )
            assert "The server is a standby (read-only)" in capsys.readouterr().err
        assert root.run(["doctor", "--database-url", second.url]) == 1
        assert "✗ promise            no event is acknowledged: the server is a standby (read-only)" in (
            capsys.readouterr().out
        )
        assert root.run(["status", "--database-url", second.url]) == 0
