"""What a start refuses, and leaves as it was."""

import contextlib
import os
from pathlib import Path

import pytest

from v7_task_processor import _unprivileged, embedded
from v7_task_processor.errors import ConfigurationError, DatabaseUnavailable

from .support import FAST, HOLDER, execute, first_line, moved, process, show, stopped, stranger, until


def test_a_socket_folder_that_is_open_to_others_is_refused(folder: Path, tmp_path: Path) -> None:
    with moved(folder, tmp_path / "with space") as there:
        with embedded.start(there, settings=FAST) as server:
            sockets = Path(str(show(server.url, "unix_socket_directories")))
        sockets.mkdir(mode=0o755)
        with pytest.raises(ConfigurationError, match=r"is somebody else's, or open to others\. Remove it"):
            embedded.start(there, settings=FAST)
        sockets.rmdir()


@pytest.mark.fault(78)
def test_a_second_run_is_told_who_runs_and_what_to_do(tmp_path: Path) -> None:
    with process(HOLDER, tmp_path) as holder:
        first_line(holder)
        sentence = rf"{tmp_path} already, as process {holder.pid}\. Stop that one first \(kill {holder.pid}\)"
        with pytest.raises(ConfigurationError, match=sentence), embedded.lock_run(tmp_path):
            pytest.fail("two hold it")
        holder.kill()
    with embedded.lock_run(tmp_path):
        assert (tmp_path / "run.lock").read_text() == str(os.getpid())
    with embedded.lock_run(tmp_path):
        pass


@pytest.mark.fault(77)
def test_data_of_another_major_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigurationError, match=r"is of Postgres 15, .* is Postgres 18\. .*DATABASE_URL.*pg_dump"):
        embedded.start(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "postgres", tmp_path / "postgres" / "PG_VERSION"]


def test_a_folder_of_something_else_is_refused_and_not_touched(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "holiday.jpg").touch()
    with pytest.raises(ConfigurationError, match=r"something else than Postgres data\. Move it away"):
        embedded.start(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "postgres", tmp_path / "postgres" / "holiday.jpg"]


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v7").touch()
    with pytest.raises(ConfigurationError, match=r"cannot be used: .*v7'\. Change that, or set V7_DATA_DIR"):
        embedded.start(tmp_path / "v7")


def test_a_postgres_started_by_hand_is_left_alone(folder: Path, tmp_path: Path) -> None:
    postgres, data = embedded.bin_dir() / "postgres", folder / "postgres"
    prefix = _unprivileged.prefix(postgres, folder, os.geteuid())
    assert prefix is not None
    by_hand = [*prefix, str(postgres), "-D", str(data), "-k", str(tmp_path), "-c", "listen_addresses=", "-F"]
    with (tmp_path / "log").open("wb") as log, stranger(by_hand, stdout=log, stderr=log) as other:
        until(lambda: not stopped(folder) and "ready" in (data / "postmaster.pid").read_text())
        with pytest.raises(ConfigurationError, match=rf"did not start .* process {other.pid}\. Stop it first"):
            embedded.start(folder)
        assert other.poll() is None


def test_a_server_that_cannot_start_shows_the_end_of_its_log(folder: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"(?s)did not start on .*last lines of .*work_mem"):
        embedded.start(folder, settings={"work_mem": "plenty"})
    with embedded.start(folder, settings=FAST) as server:
        assert server.alive()


def test_a_full_disk_is_named_and_room_on_it_is_enough(small_disk: Path) -> None:
    folder = small_disk / "v7"
    embedded.start(folder, settings=FAST).close()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(b"x" * 4096)
    with pytest.raises(DatabaseUnavailable, match=r"Only 0 MB are free on its disk: make room\."):
        embedded.start(folder, settings=FAST)
    (small_disk / "ballast").unlink()
    with embedded.start(folder, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]
