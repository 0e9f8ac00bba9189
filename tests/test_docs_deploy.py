"""The commands of docs/deploy.md, sections 2 to 7, in one shell and under load, on a real engine."""

import json
import re
import shutil
import subprocess
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from .containers import HOST, ROOT, build, docker
from .faults.cluster import free_port
from .nodes import EVENT, post, wait_until

TEXT = (ROOT / "docs" / "deploy.md").read_text()
SECTIONS = {
    int(number): "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    for number, text in re.findall(r"^## (\d+)\. (.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}
A_SECOND = 20
TWO, ONE = "durable on 2 nodes", "durable on this server"

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy (Debian: package haproxy)"),
    pytest.mark.skipif(HOST != "127.0.0.1", reason="the engine publishes its ports on another machine"),
]


class Shell:
    """One that stays, as the reader's. What it makes has names and ports of its own."""

    def __init__(self, folder: Path, image: str) -> None:
        self.folder, self.mark, self.image = folder, uuid.uuid4().hex[:8], image
        self.ports = {port: free_port() for port in (4000, 4001, 4002)}
        self.process = subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail"], cwd=folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        (folder / "deploy" / "haproxy").mkdir(parents=True)
        there = Path("deploy") / "haproxy" / "haproxy.cfg"
        (folder / there).write_text(self.own((ROOT / there).read_text().replace("bind :", "bind 127.0.0.1:")))

    def own(self, text: str) -> str:
        text = re.sub(r"docker build --tag (\S+) \.", rf"docker tag {self.image} \1", text)
        text = re.sub(r"\b(pg[123]|(?:api|worker)-(?:one|two))\b", rf"\1x{self.mark}", text)
        text = re.sub(r"v7_task_processor:(\d)", rf"v7_docs_{self.mark}:\1", text)
        text = re.sub(r"(network (?:create )?)v7\b", rf"\1v7-{self.mark}", text)
        return re.sub(r"(?<!maxconn )\b400[012]\b(?!\")", lambda found: str(self.ports[int(found[0])]), text)

    def run(self, commands: str) -> str:
        """What they say; each must end with 0."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{self.own(commands)}\necho; echo over {self.mark}\n")
        self.process.stdin.flush()
        said = ""
        for line in self.process.stdout:
            if line == f"over {self.mark}\n":
                return said
            said += line
        raise AssertionError(said)

    def clean(self) -> None:
        self.process.kill()
        self.process.communicate()
        if (self.folder / "haproxy.pid").exists():
            subprocess.run(["kill", (self.folder / "haproxy.pid").read_text().strip()], check=False)
        names = docker("ps", "--all", "--quiet", "--filter", f"name={self.mark}").stdout.split()
        if names:
            docker("rm", "--force", "--volumes", *names)
        docker("network", "rm", f"v7-{self.mark}", check=False)
        docker("image", "rm", f"v7_docs_{self.mark}:1", f"v7_docs_{self.mark}:2", check=False)


class Client:
    """Twenty events a second, until it is told to stop."""

    def __init__(self, port: int, key: str) -> None:
        self.answers: Counter[int] = Counter()
        self.ids: set[int] = set()
        self.address, self.key, self.stopped = ("127.0.0.1", port), key, threading.Event()
        self.threads = [threading.Thread(target=self.send, daemon=True) for _ in range(A_SECOND // 4)]
        for each in self.threads:
            each.start()

    def send(self) -> None:
        while not self.stopped.wait(0.25):
            try:
                status, text = post(self.address, EVENT, **{"X-API-Key": self.key})
            except OSError:
                status, text = 0, ""
            self.answers[status] += 1
            if status == 200:
                self.ids.add(json.loads(text)["id"])

    def stop(self) -> None:
        self.stopped.set()
        for each in self.threads:
            each.join()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path, build())
    try:
        yield made
    finally:
        made.clean()


def client(shell: Shell) -> Client:
    text = (shell.folder / "v7.env").read_text()
    (key,) = re.findall(r"shop send ([0-9a-f]{64}),", text)
    return Client(shell.ports[4000], key)


def kept(shell: Shell, server: str) -> set[int]:
    return {int(word) for word in shell.run(f"sql {server} 'select id from v7.all_jobs'").split()}


def test_from_nothing_to_production_and_back_from_a_backup(shell: Shell) -> None:
    shell.run(SECTIONS[2])
    assert TWO in shell.run(SECTIONS[3])
    assert '{"id": 1}' in shell.run(SECTIONS[4])

    rolling = client(shell)
    shell.run(SECTIONS[5])
    replaced = rolling.answers.total()
    wait_until(lambda: rolling.answers.total() > replaced + 2 * A_SECOND, "it has sent to all that is new")
    rolling.stop()
    assert rolling.answers.keys() == {200}

    failing = client(shell)
    wait_until(lambda: failing.answers[200] > A_SECOND, "it sends")
    killed, promoted, rest = SECTIONS[6].split("\n", 2)
    shell.run(f"{killed}\n{promoted}")
    before = failing.answers[200]
    wait_until(lambda: failing.answers[200] > before + A_SECOND, "events are taken again")
    assert ONE in shell.run("v7 doctor")
    assert TWO in shell.run(rest)
    failing.stop()
    acknowledged = rolling.ids | failing.ids
    assert acknowledged <= kept(shell, "pg2")

    assert ONE in shell.run(SECTIONS[7])
    assert acknowledged <= kept(shell, "pg3")
    again = client(shell)
    wait_until(lambda: again.answers[200] > A_SECOND, "events are taken")
    again.stop()
    assert min(again.ids) > max(acknowledged)
