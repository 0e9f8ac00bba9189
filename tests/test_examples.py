"""The examples run, and what they say is what is in their files."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_a_week_of_earthquakes() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("V7_")}
    run = subprocess.run(
        [sys.executable, EXAMPLES / "earthquakes" / "run.py"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
    )
    assert run.returncode == 0, run.stderr
    said = run.stdout.splitlines()
    week = [
        each["properties"] | {"id": each["id"]}
        for each in json.loads((EXAMPLES / "earthquakes" / "week.json").read_text())["features"]
    ]
    incomplete = sorted(each["id"] for each in week if each["mag"] is None or each["rms"] is None)
    assert said[0] == f"Sent {len(week)} events."
    assert f"  dead       {len(incomplete):5}" in said
    assert f"  succeeded  {len(week) - len(incomplete):5}" in said
    assert [line.split()[0] for line in said if "failed 3 times" in line] == incomplete
    strongest = sorted((each["mag"] for each in week), reverse=True)[:10]
    assert [float(line.split()[1]) for line in said if line.startswith("  M ")] == strongest
    complete = [each for each in week if each["id"] not in incomplete]
    regions = Counter(each["place"].rpartition(", ")[2].rpartition(" of ")[2] for each in complete)
    assert any(line.split()[:2] == ["CA", str(regions["CA"])] for line in said)
    assert said[-1] == "Started from the strongest to the weakest: yes"
