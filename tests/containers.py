"""Containers of the product's image for the tests, by the docker command as people use it."""

import contextlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .nodes import get, wait_until

ROOT = Path(__file__).parents[1]
IMAGE = "v7_task_processor:test"
HOST = os.environ.get("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")


def docker(*arguments: object, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = ["docker", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert not check or done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


def readme(first_words: str) -> list[list[str]]:
    """The README's commands that begin so, word by word, for this checkout's test image."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    lines = re.findall(rf"^{first_words} .*", text, re.MULTILINE)
    return [[IMAGE if word.startswith("v7_task_processor") else word for word in shlex.split(line)] for line in lines]


def base() -> str:
    """The image that the Dockerfile stands on."""
    [named] = re.findall(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    return str(named)


def build() -> str:
    """Build the image as the README says; its name. Of earlier builds only the layers are kept that this one uses."""
    before = docker("image", "inspect", "--format", "{{.Id}}", IMAGE, check=False).stdout.strip()
    [command] = readme("docker build")
    docker(*command[1:], timeout=900)
    if before and before != docker("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout.strip():
        docker("image", "rm", before, check=False)
    return IMAGE


class Container:
    """One container, by its id."""

    def __init__(self, name: str) -> None:
        self.id = name

    def logs(self) -> str:
        done = docker("logs", self.id)
        return done.stdout + done.stderr

    def state(self, of: str) -> str:
        return docker("inspect", "--format", f"{{{{.State.{of}}}}}", self.id).stdout.strip()

    def execute(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return docker("exec", self.id, *command, check=check)

    def address(self) -> tuple[str, int]:
        """Where its API is published, when it is ready."""

        def published() -> tuple[str, int] | None:
            assert self.state("Running") == "true", self.logs()
            lines = docker("port", self.id, "4000/tcp", check=False).stdout.split()
            return (HOST, int(lines[0].rpartition(":")[2])) if lines else None

        address: tuple[str, int] = wait_until(published, "its port is published")
        wait_until(lambda: get(address, "/readyz") == 200 or self.state("Running") == "false", "it is ready")
        assert self.state("Running") == "true", self.logs()
        return address

    def is_healthy(self) -> bool:
        """What its health check says now."""
        check = json.loads(docker("inspect", "--format", "{{json .Config.Healthcheck.Test}}", self.id).stdout)
        assert check[0] == "CMD"
        return self.execute(*check[1:], check=False).returncode == 0

    def stop(self) -> int:
        """`docker stop`, with the grace time that it has by itself; the exit code, 137 if that was not enough."""
        docker("stop", self.id)
        return int(self.state("ExitCode"))


@contextlib.contextmanager
def container(*options: object, image: str = IMAGE, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """`docker run` in the background, with its port on 127.0.0.1. Gone afterwards, its own volumes too."""
    made = docker("create", "-p", "127.0.0.1::4000", *options, image, *command).stdout.strip()
    try:
        docker("start", made)
        yield Container(made)
    finally:
        docker("rm", "--force", "--volumes", made)


@contextlib.contextmanager
def volume() -> Iterator[str]:
    name = docker("volume", "create").stdout.strip()
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)
