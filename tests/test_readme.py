"""The README's commands, as written, in a fresh clone with an empty HOME. What they install comes anew, so only in CI.

The docker commands are those of tests/test_image.py.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .nodes import wait_until

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS: list[str] = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
HANDLERS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
START_SECONDS_MAX, AGAIN_SECONDS_MAX = 60, 5


class Stranger:
    """Someone with a fresh clone, an empty HOME, and the README."""

    def __init__(self, folder: Path) -> None:
        self.clone, self.home = folder / "clone", folder / "home"
        self.home.mkdir()
        subprocess.run(["git", "clone", "--quiet", ROOT, self.clone], check=True)
        kept = ("PATH", "LANG", "PIP_CERT", "PIP_FIND_LINKS", "PIP_DEFAULT_TIMEOUT", "SSL_CERT_FILE")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(self.home)}

    def types(self, block: str) -> str:
        """Run a block as written; what it printed."""
        run = subprocess.run(
            ["bash", "-ec", block], cwd=self.clone, env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert run.returncode == 0, f"{block}\n{run.stdout}{run.stderr}"
        return run.stdout

    @contextlib.contextmanager
    def serves(self, block: str, within_seconds: float) -> Iterator[Path]:
        """Leave a `make run` running in another terminal; what it prints there."""
        screen = self.clone.parent / "screen.txt"
        with screen.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-c", block],
                cwd=self.clone,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        began = time.monotonic()
        try:
            wait_until(lambda: listens(4000) or process.poll() is not None, "it serves", 170)
            assert time.monotonic() - began < within_seconds, screen.read_text()
            assert process.poll() is None, screen.read_text()
            yield screen
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(40)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def block_with(text: str) -> str:
    [found] = [block for block in BLOCKS if text in block]
    return found


@pytest.mark.skipif("CI" not in os.environ, reason="it installs everything anew; set CI=true to run it")
def test_a_stranger_follows_the_readme(tmp_path: Path) -> None:
    stranger = Stranger(tmp_path)
    with stranger.serves(BLOCKS[0], START_SECONDS_MAX) as screen:
        assert '{"id": 1}' in stranger.types(block_with("hello"))
        wait_until(lambda: "hello" in screen.read_text(), "the terminal shows the event")
        stranger.types(block_with("out of paper"))
        wait_until(lambda: "out of paper" in stranger.types(".venv/bin/v7 dead list"), "it is dead")
        assert "out of paper" in stranger.types(block_with("dead list"))
        stranger.types(block_with("kill -9"))
    with stranger.serves(BLOCKS[0], AGAIN_SECONDS_MAX):
        table = stranger.types(block_with("v7.all_jobs"))
        assert "out of paper" in table
        assert "succeeded" in table
    (stranger.clone / "handlers.py").write_text(HANDLERS[0])
    with stranger.serves(block_with("V7_HANDLERS=handlers.py make run"), AGAIN_SECONDS_MAX) as screen:
        stranger.types(block_with("hello").replace('"event_type_id": 1', '"event_type_id": 5'))
        wait_until(lambda: "welcome 1" in screen.read_text(), "the handler runs")


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    run_here = [
        BLOCKS[0],
        *map(block_with, ["hello", "out of paper", "dead list", "kill -9", "v7.all_jobs", "handlers.py make"]),
    ]
    elsewhere = [block for block in BLOCKS if block.startswith("docker ")]
    assert sorted(BLOCKS) == sorted(run_here + elsewhere)
