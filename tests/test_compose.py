"""compose.yaml on a real engine: one command, and events are taken in and handled."""

import contextlib
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .faults.cluster import free_port
from .nodes import EVENT, get, post, wait_until

ROOT = Path(__file__).parents[1]
PLUGIN = (
    subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    if shutil.which("docker")
    else False
)
KEY = uuid.uuid4().hex
COMPOSE = ["docker", "compose"] if PLUGIN else ["docker-compose"]

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not PLUGIN and shutil.which("docker-compose") is None,
        reason="no docker compose (Debian: package docker-compose)",
    ),
]


class Project:
    """What compose made, under a name and on a port of its own."""

    def __init__(self) -> None:
        self.name, self.port = f"v7test{uuid.uuid4().hex[:8]}", free_port()
        self.environment = {**os.environ, "PROCESSOR_PORT": str(self.port), "PROCESSOR_TAG": "test"}
        self.environment["V7_API_KEYS"] = f"shop send {KEY}"

    def compose(self, *arguments: str) -> str:
        command = [*COMPOSE, "-p", self.name, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def exit_codes(self, service: str) -> list[int]:
        ids = (
            self.compose("ps", "--all", "-q", service).split() if PLUGIN else self.compose("ps", "-q", service).split()
        )
        shown = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=True).stdout
        return [each["State"]["ExitCode"] for each in json.loads(shown)]

    def statuses(self) -> Any:
        return json.loads(self.compose("exec", "-T", "api", "v7", "jobs", "list", "--json"))["jobs"]


@pytest.fixture
def project() -> Iterator[Project]:
    made = Project()
    try:
        made.compose("up", "--detach", "--build")
        yield made
    finally:
        with contextlib.suppress(AssertionError):
            made.compose("down", "--volumes", "--timeout", "1")


@pytest.mark.slow
def test_one_command_and_it_serves(project: Project) -> None:
    address = ("127.0.0.1", project.port)
    wait_until(lambda: get(address, "/readyz") == 200, "the API is ready", 120)
    assert project.exit_codes("migrate") == [0]
    assert post(address, EVENT)[0] == 401
    assert post(address, EVENT, **{"X-API-Key": KEY})[0] == 200
    wait_until(lambda: [job["status"] for job in project.statuses()] == ["succeeded"], "it is handled", 120)
    project.compose("stop")
    assert project.exit_codes("api") == [0]
    assert project.exit_codes("worker") == [0, 0]
