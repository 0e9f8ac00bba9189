"""What a server is that was started, and whose it is."""

import os
import stat
from pathlib import Path

import pytest

from v7_task_processor import embedded
from v7_task_processor.errors import DatabaseUnavailable

from .support import FAST, USER, execute, first_line, moved, process, show, stopped, stranger


def test_the_first_start_makes_a_durable_server_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "v7"
    with embedded.start(folder) as server:
        assert server.alive()
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert show(server.url, setting) == "on", setting
        assert show(server.url, "listen_addresses") == ""
        assert show(server.url, "timezone") == "UTC"
        assert show(server.url, "server_encoding") == "UTF8"
        assert show(server.url, "server_version") == server.version
        assert execute(server.url, "select upper('ärger'), current_database()") == [("ÄRGER", "v7")]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert capfd.readouterr() == ("", "")


def test_a_setting_of_the_caller_wins(folder: Path) -> None:
    with embedded.start(folder, settings={"fsync": "off", "work_mem": "7MB"}) as server:
        assert (show(server.url, "fsync"), show(server.url, "work_mem")) == ("off", "7MB")


def test_client_settings_in_the_environment_do_not_lead_astray(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "6000", "PGHOST": "nowhere", "PGDATA": "/nowhere", "PGDATABASE": "x"}.items():
        monkeypatch.setenv(name, value)
    with embedded.start(folder, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]


def test_a_variable_that_lets_nobody_connect_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "nobody")
    monkeypatch.setattr(embedded, "_SILENCE_SECONDS_MAX", 2.0)
    with pytest.raises(DatabaseUnavailable, match='service "nobody" not found'):
        embedded.start(folder, settings=FAST)


def test_the_programs_are_found() -> None:
    for program in ("psql", "postgres", "initdb", "pg_dump"):
        assert os.access(embedded.bin_dir() / program, os.X_OK)


def test_the_last_user_switches_off_the_light(folder: Path) -> None:
    first = embedded.start(folder, settings=FAST)
    second = embedded.start(folder)
    first.close()
    assert second.alive()
    with process(USER, folder) as third:
        first_line(third)
        second.close()
        assert not stopped(folder)
    assert stopped(folder)


def test_closing_twice_is_closing_once_and_nothing_revives_after(folder: Path) -> None:
    server = embedded.start(folder, settings=FAST)
    server.close()
    server.close()
    assert not server.alive()
    assert not server.ensure()
    assert stopped(folder)


def test_a_child_of_the_user_does_not_keep_the_server_running(folder: Path) -> None:
    server = embedded.start(folder, settings=FAST)
    with stranger(["sleep", "1000"], close_fds=False):
        server.close()
        assert stopped(folder)


def test_two_first_starts_at_once_make_one_server(tmp_path: Path) -> None:
    folder = tmp_path / "v7"
    with process(USER, folder) as one, process(USER, folder) as two:
        assert first_line(one) == first_line(two)
        assert (folder / "postgres.log").read_text().count("starting PostgreSQL") == 1
    assert stopped(folder)


@pytest.mark.parametrize("name", ["l" * 120, "with space", 'o\'brien "quoted" 100%', "über,größe:@#?&="])
def test_any_path_will_do(folder: Path, tmp_path: Path, name: str) -> None:
    with moved(folder, tmp_path / name) as there, embedded.start(there, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]
        sockets = Path(str(show(server.url, "unix_socket_directories")))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        with embedded.start(there) as other:
            assert other.url == server.url
    assert not sockets.exists()


def test_the_log_stays_short(folder: Path) -> None:
    with embedded.start(folder, settings=FAST) as server:
        log = folder / "postgres.log"
        with log.open("ab") as file:
            file.write(b"x" * 17_000_000 + b"\nthe end\n")
        assert server.alive()
        assert log.stat().st_size <= 1 << 20
        execute(server.url, "do 'begin raise log ''still here''; end'")
        assert "the end\n" in log.read_text()
        assert "still here" in log.read_text()
