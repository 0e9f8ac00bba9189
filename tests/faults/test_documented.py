"""docs/faults.md says of every fault what becomes of events; a test shows it, or the row says why none does."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAULTS = range(1, 80)
NOT_HERE = "not here"


def documented() -> dict[int, str]:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(FAULTS)
    return {int(number): text for number, text in rows}


def marked() -> set[int]:
    """Of parametrized tests too, whose marks take their numbers from a table in the file."""
    numbers: set[int] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        for given in re.findall(r"mark\.fault\(([\d, ]+)\)", text):
            numbers.update(int(number) for number in given.replace(" ", "").split(",") if number)
    return numbers


def test_every_fault_is_made_by_a_test_or_says_why_not() -> None:
    rows = documented()
    assert {number for number, text in rows.items() if NOT_HERE not in text} == marked()
