"""A network of a test's own: a namespace at the other end of a cable, nodes inside it, and what befalls the cable.

Rules are made in the namespace's own tables only: nothing outside the test's own traffic is touched.
"""

import contextlib
import functools
import os
import random
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..nodes import V7
from .cluster import Cluster


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@functools.cache
def why_none() -> str | None:
    """Why no network can be made here; None: one can."""
    if os.geteuid() != 0:
        return "a network namespace needs root"
    missing = [name for name in ("ip", "iptables", "unshare") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        with network() as made:
            made.lose(0.5)
    except AssertionError as error:
        return f"no network namespace can be made: {error}"
    return None


class Network:
    """A cable between the test (`outside`) and a namespace (`inside`)."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.outside, self.inside = (f"198.18.{number >> 6}.{(number & 63) * 4 + end}" for end in (1, 2))
        """In the block that is kept for tests of networks (RFC 2544)."""

    def make(self) -> None:
        a, b = f"{self.name}a", f"{self.name}b"
        run("ip", "netns", "add", self.name)
        run("ip", "link", "add", a, "type", "veth", "peer", "name", b, "netns", self.name)
        run("ip", "address", "add", f"{self.outside}/30", "dev", a)
        run("ip", "link", "set", a, "up")
        for command in (f"address add {self.inside}/30 dev {b}", f"link set {b} up", "link set lo up"):
            run("ip", "-n", self.name, *command.split())

    def rules(self, *rules: str) -> None:
        """These instead of those before."""
        self.rule("-F")
        for each in rules:
            self.rule(*each.split())

    def rule(self, *arguments: str) -> None:
        run("ip", "netns", "exec", self.name, "iptables", "-w", "10", *arguments)

    def lose(self, share: float) -> None:
        """Lose this share of the packets, in each direction."""
        lost = f"-m statistic --mode random --probability {share} -j DROP"
        self.rules(f"-A INPUT -i {self.name}b {lost}", f"-A OUTPUT -o {self.name}b {lost}")

    def drop_to(self, port: int) -> None:
        """Nothing passes to or from this port of the other side: open connections are half open."""
        self.rules(f"-A INPUT -p tcp --sport {port} -j DROP", f"-A OUTPUT -p tcp --dport {port} -j DROP")

    def mend(self) -> None:
        self.rules()

    def close(self) -> None:
        for command in (f"ip netns del {self.name}", f"ip link del {self.name}a"):
            subprocess.run(command.split(), capture_output=True, check=False)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    made = Network(f"v7{secrets.token_hex(4)}", random.SystemRandom().randrange(2**14))
    try:
        made.make()
        yield made
    finally:
        made.close()


@pytest.fixture
def cable() -> Iterator[Network]:
    """A network of this test's own."""
    if why := why_none():
        pytest.skip(why)
    with network() as made:
        yield made


def listen_on(cluster: Cluster, address: str) -> str:
    """Start the cluster again so that it can be reached on this address too; its URL there."""
    cluster.stop()
    cluster.settings["listen_addresses"] = f"127.0.0.1,{address}"
    with (cluster.data / "pg_hba.conf").open("a") as hba:
        hba.write(f"host all all {address}/30 trust\n")
    cluster.start()
    return f"postgresql://postgres@{address}:{cluster.port}/v7"


def inside(cable: Network, resolver: Path | None = None) -> list[str]:
    """The command `v7` in the namespace, for `node(program=...)`. `resolver` takes the place of /etc/resolv.conf.

    Each of its programs becomes the next: the process id stays.
    """
    enter = ["ip", "netns", "exec", cable.name]
    if resolver is not None:
        mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
        enter += ["unshare", "--mount", "sh", "-c", mount, str(resolver)]
    return [*enter, *V7]
