"""Real servers, real signals: each test is named for its disaster."""

import os
import signal
import threading
from pathlib import Path

import pytest

from v7_task_processor import embedded
from v7_task_processor._datafolder import try_lock

from .support import (
    BUSY,
    FAST,
    USER,
    execute,
    first_line,
    is_busy,
    kill_all,
    postmaster,
    process,
    processes_naming,
    stopped,
    stranger,
    until,
)


def test_a_killed_postmaster_comes_back_with_all_that_was_committed(folder: Path) -> None:
    with embedded.start(folder) as server, embedded.start(folder) as other:
        execute(server.url, "drop table if exists kept; create table kept as select 42 as answer")
        os.kill(postmaster(folder), signal.SIGKILL)
        until(lambda: not server.alive())
        assert server.ensure()
        assert not server.ensure()
        assert not other.ensure()
        assert other.alive()
        assert execute(other.url, "select answer from kept") == [(42,)]


def test_a_query_that_outlives_the_postmaster_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.start(folder, settings=FAST) as server, process(BUSY, server.url) as client:
        backend = int(first_line(client))
        until(
            lambda: execute(server.url, f"select 1 from pg_stat_activity where pid = {backend} and wait_event is null")
        )
        os.kill(postmaster(folder), signal.SIGKILL)
        revived: list[bool] = []
        tries = count_tries(monkeypatch)
        reviver = threading.Thread(target=lambda: revived.append(server.ensure()))
        reviver.start()
        until(lambda: len(tries) >= 3)
        os.kill(backend, 0)
        assert not revived
        os.kill(backend, signal.SIGKILL)
        reviver.join()
        assert revived == [True]


def count_tries(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each try to have the lock of a server succeeds, from now on."""
    tries: list[bool] = []

    def noted(lock: int) -> bool:
        tries.append(try_lock(lock))
        return tries[-1]

    monkeypatch.setattr("v7_task_processor.embedded.try_lock", noted)
    return tries


def test_a_query_whose_client_was_killed_too_does_not_hold_up_the_next_start(folder: Path) -> None:
    with embedded.start(folder, settings=FAST) as server, process(BUSY, server.url) as client:
        backend = int(first_line(client))
        until(lambda: is_busy(server.url, backend))
        os.kill(postmaster(folder), signal.SIGKILL)
        client.kill()
        assert server.ensure()


def test_a_killed_owner_leaves_a_server_that_the_next_start_adopts(folder: Path) -> None:
    with process(USER, folder) as owner:
        url = first_line(owner)
        pid = postmaster(folder)
        owner.kill()
        owner.wait()
    with embedded.start(folder) as server:
        assert (server.url, postmaster(folder)) == (url, pid)
        assert server.alive()
    assert stopped(folder)


@pytest.mark.fault(4)
def test_everything_killed_at_once_comes_back_with_all_that_was_committed(folder: Path) -> None:
    with process(USER, folder) as owner:
        url = first_line(owner)
        execute(url, "drop table if exists kept; create table kept as select 42 as answer")
        owner.kill()
        kill_all(url, folder)
    with embedded.start(folder) as server:
        assert execute(server.url, "select answer from kept") == [(42,)]


@pytest.mark.fault(4)
def test_a_dead_postmaster_that_nobody_reaps_is_no_obstacle(folder: Path) -> None:
    with embedded.start(folder, settings=FAST) as server:
        kill_all(server.url, folder)
        with process(USER, folder) as other:
            assert first_line(other) == server.url
            assert server.alive()
            assert not server.ensure()


def test_a_stale_pid_file_does_not_cost_another_process_its_life(folder: Path) -> None:
    with embedded.start(folder, settings=FAST):
        lines = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    with stranger(["sleep", "1000"]) as sleeper:
        stale = "\n".join([str(sleeper.pid), *lines[1:], ""])
        (folder / "postgres" / "postmaster.pid").write_text(stale)
        with embedded.start(folder, settings=FAST) as server:
            assert server.alive()
            assert postmaster(folder) != sleeper.pid
        assert sleeper.poll() is None


def test_a_torn_pid_file_is_no_obstacle(folder: Path) -> None:
    (folder / "postgres" / "postmaster.pid").write_text("")
    with embedded.start(folder, settings=FAST) as server:
        assert server.alive()


@pytest.mark.parametrize("all_of_it", [False, True], ids=["python", "initdb too"])
def test_a_first_start_killed_in_the_middle_leaves_nothing_half_made(tmp_path: Path, all_of_it: bool) -> None:
    folder = tmp_path / "v7"
    with process(USER, folder) as owner:
        until((folder / "postgres.new" / "global").exists)
        owner.kill()
        for pid in processes_naming(folder / "postgres.new") if all_of_it else ():
            os.kill(pid, signal.SIGKILL)
    assert not (folder / "postgres").exists()
    with embedded.start(folder, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]
    assert not (folder / "postgres.new").exists()
