"""The units of systemd: its own tool takes them, and they say what the program needs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from v7_task_processor.cli.root import COMMANDS
from v7_task_processor.settings import ENVIRONMENT, load

UNITS = sorted((Path(__file__).parents[1] / "deploy" / "systemd").glob("*.service"))
PROGRAM = "/opt/v7/bin/v7"


def named(unit: Path, name: str) -> str:
    (found,) = re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze (Debian: package systemd)")
    installed = tmp_path / unit.name
    installed.write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", installed], capture_output=True, text=True, check=False
    )
    assert (said.returncode, unit.name in said.stderr) == (0, False), said.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_it_starts_a_command_that_there_is(unit: Path) -> None:
    program, command = named(unit, "ExecStart").split()
    assert program == PROGRAM
    assert command in COMMANDS
    assert unit.stem == f"v7-{command}"


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.stem != "v7-migrate"], ids=lambda unit: unit.stem)
def test_a_node_has_its_time_to_end(unit: Path) -> None:
    environment = dict(setting.split("=") for setting in named(unit, "Environment").split())
    assert environment.keys() <= ENVIRONMENT.keys()
    assert int(named(unit, "TimeoutStopSec")) == load(environment=environment).shutdown_seconds + 5
    assert environment["V7_DATA_DIR"] == f"/var/lib/{named(unit, 'StateDirectory')}"
