"""What a session of tests leaves behind: nothing."""

import signal
import subprocess
import sys
from pathlib import Path

from .embedded.support import stopped
from .nodes import wait_until

ROOT = Path(__file__).parents[1]
KILLED = """
import os, signal
def test_all_of_it_is_killed(server_url):
    os.killpg(0, signal.SIGKILL)
"""


def test_the_server_of_a_session_that_is_killed_stops(tmp_path: Path) -> None:
    (tmp_path / "test_killed.py").write_text(KILLED)
    base = tmp_path / "base"
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", f"--basetemp={base}", str(tmp_path)]
    session = subprocess.run(command, cwd=ROOT, start_new_session=True, capture_output=True, check=False)
    assert session.returncode == -signal.SIGKILL, session.stdout
    assert (base / "postgres0" / "postgres").exists()
    wait_until(lambda: stopped(base / "postgres0"), "its server has stopped")
