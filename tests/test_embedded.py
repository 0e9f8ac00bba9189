"""Real servers, real signals. Named for the disasters that the module is there for."""

import contextlib
import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from v7_task_processor import _unprivileged, embedded
from v7_task_processor.errors import ConfigurationError, DatabaseUnavailable

FAST = {"fsync": "off"}
NOBODY = 65534
NAMELESS = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
needs_open_code = pytest.mark.skipif(
    not all(folder.stat().st_mode & 0o001 for folder in embedded.bin_dir().parents),
    reason="another user cannot reach the programs of this Postgres",
)

USER = """
import sys
from pathlib import Path
from v7_task_processor import embedded
with embedded.start(Path(sys.argv[1]), settings={"fsync": "off"}) as server:
    print(server.url, flush=True)
    sys.stdin.read()
"""
AS = """
import os, psycopg, psycopg_binary, v7_task_processor.embedded
os.setgroups([]); os.setgid({0}); os.setuid({0})
"""  # late, since others may not be able to reach this Python
HOLDER = """
import sys
from pathlib import Path
from v7_task_processor import embedded
with embedded.lock_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
BUSY = """
import sys, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    print(connection.info.backend_pid, flush=True)
    connection.execute("select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "v7"
    embedded.start(folder, settings=FAST).close()
    return folder


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """A data folder whose server was stopped in order; all tests share it, since copies take long."""
    assert stopped(made)
    yield made
    if not stopped(made):
        embedded.start(made).close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that others than root can reach, as pytest's are not."""
    folder = Path(tempfile.mkdtemp(prefix="v7-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root outside of a container can mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def process(code: str, argument: object) -> Iterator[subprocess.Popen[str]]:
    """Runs until it is killed or the block ends."""
    command = [sys.executable, "-W", "error", "-c", code, str(argument)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.stdin.close()
            child.wait()


@contextlib.contextmanager
def stranger(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with the server; killed when the block ends."""
    with subprocess.Popen(command, **options) as child:  # type: ignore[call-overload]
        try:
            yield child
        finally:
            child.kill()


def first_line(child: subprocess.Popen[str]) -> str:
    assert child.stdout and child.stderr
    line = child.stdout.readline().strip()
    assert line, child.stderr.read()
    return line


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.01)


def postmaster(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def stopped(folder: Path) -> bool:
    return not (folder / "postgres" / "postmaster.pid").exists()


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def show(url: str, setting: str) -> object:
    return execute(url, f"show {setting}")[0][0]


def is_busy(url: str, backend: int) -> bool:
    question = f"select 1 from pg_stat_activity where pid = {backend} and state = 'active' and wait_event is null"
    return bool(execute(url, question))


def kill_all(server_url: str, folder: Path) -> None:
    pids = [int(str(pid)) for (pid,) in execute(server_url, "select pid from pg_stat_activity")]
    for pid in [postmaster(folder), *pids]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


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


def test_the_programs_are_found() -> None:
    for program in ("psql", "postgres", "initdb", "pg_dump"):
        assert os.access(embedded.bin_dir() / program, os.X_OK)


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


def test_a_query_that_outlives_the_postmaster_is_waited_for(folder: Path) -> None:
    with embedded.start(folder, settings=FAST) as server, process(BUSY, server.url) as client:
        backend = int(first_line(client))
        until(
            lambda: execute(server.url, f"select 1 from pg_stat_activity where pid = {backend} and wait_event is null")
        )
        os.kill(postmaster(folder), signal.SIGKILL)
        revived: list[bool] = []
        reviver = threading.Thread(target=lambda: revived.append(server.ensure()))
        reviver.start()
        os.kill(backend, 0)
        assert not revived
        os.kill(backend, signal.SIGKILL)
        reviver.join()
        assert revived == [True]


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


def processes_naming(path: Path) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(path) in (entry / "cmdline").read_bytes():
                yield int(entry.name)


@pytest.mark.parametrize("name", ["l" * 120, "with space", 'o\'brien "quoted" 100%', "über,größe:@#?&="])
def test_any_path_will_do(folder: Path, tmp_path: Path, name: str) -> None:
    with moved(folder, tmp_path / name) as there, embedded.start(there, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]
        sockets = Path(str(show(server.url, "unix_socket_directories")))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        with embedded.start(there) as other:
            assert other.url == server.url
    assert not sockets.exists()


@contextlib.contextmanager
def moved(folder: Path, there: Path) -> Iterator[Path]:
    folder.rename(there)
    try:
        yield there
    finally:
        there.rename(folder)


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


@needs_root
@needs_open_code
@pytest.mark.parametrize("uid", [NOBODY, NAMELESS])
def test_an_ordinary_user_runs_it(open_folder: Path, uid: int) -> None:
    if uid == NAMELESS and not namespaces_allowed():
        pytest.skip("a user without a name needs a namespace and this Python, and is refused one of them")
    os.chown(open_folder, uid, uid)
    folder = open_folder / "v7"
    with process(AS.format(uid) + USER, folder) as user:
        url = first_line(user)
        assert (folder / "postgres").stat().st_uid == uid
        with embedded.start(folder) as root:  # root may look, and takes nothing away
            assert root.url == url
        assert {path.stat().st_uid for path in folder.iterdir()} == {uid}


def namespaces_allowed() -> bool:
    launcher = [sys.executable, "-I", "-S", _unprivileged.__file__, "namespace", "/", "/bin/true"]
    with contextlib.suppress(PermissionError):
        child = subprocess.run(launcher, check=False, capture_output=True, user=NAMELESS, group=NAMELESS)
        return child.returncode == 0
    return False


@needs_root
@needs_open_code
def test_another_users_folder_is_refused_with_what_to_do(open_folder: Path) -> None:
    folder = open_folder / "v7"
    embedded.start(folder, settings=FAST).close()
    with process(AS.format(NOBODY) + USER, folder) as user:
        _, errors = user.communicate()
    assert f"The data folder {folder} belongs to root, and you are nobody. Run v7 as root, or give it" in errors


@needs_root
@needs_open_code
@pytest.mark.parametrize("made_before", [False, True])
def test_root_without_user_namespaces_runs_it_as_nobody(open_folder: Path, made: Path, made_before: bool) -> None:
    folder = open_folder / "v7"
    if made_before:
        shutil.copytree(made, folder)
    with process(WITHOUT_NAMESPACES + USER, folder) as container:
        url = first_line(container)
        assert (folder / "postgres").stat().st_uid == NOBODY
        assert execute(url, "select current_database()") == [("v7",)]
    with embedded.start(folder, settings=FAST) as server:
        assert execute(server.url, "select current_database()") == [("v7",)]


@needs_root
def test_root_that_nobody_can_stand_in_for_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    with process(WITHOUT_NAMESPACES + USER, tmp_path / "closed" / "v7") as container:
        _, errors = container.communicate()
    assert "Postgres does not run as root" in errors
    assert "Run v7 as an ordinary user, or set DATABASE_URL" in errors


# What container engines do: a filter on system calls that refuses unshare(2).
WITHOUT_NAMESPACES = f"""
import ctypes, struct
unshare = {{"x86_64": 272, "aarch64": 97}}[{platform.machine()!r}]
load, jump_equal, answer = 0x20, 0x15, 0x06
steps = [(load, 0, 0, 0), (jump_equal, 0, 1, unshare), (answer, 0, 0, 0x00050001), (answer, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
assert ctypes.CDLL(None).prctl(22, 2, program, 0, 0) == 0
"""
