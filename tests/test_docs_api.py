"""Every curl line in docs/api.md, as written, and its answer, on a database with one of everything."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor.web.management.table import ROUTES
from v7_task_processor.web.problem import TITLES

from .conftest import fresh
from .population import note_minutes, populate
from .web.support import ApiProcess, process

TEXT = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
EXAMPLES = [
    pytest.param(match[1], match[2], id=f"line {TEXT[: match.start()].count(chr(10)) + 2}")
    for match in re.finditer(r"^```sh\n(.*?)^```\n```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
]
PASSING = ("age_seconds", "seconds", "beat_age_seconds", "position", "correlation_id")
"""Fields whose values are other ones each time."""


@contextlib.contextmanager
def serving(server_url: str, template: str) -> Iterator[ApiProcess]:
    with contextlib.contextmanager(fresh)(server_url, template) as url:
        populate(url)
        note_minutes(url)
        with process(url) as api:
            yield api


@pytest.fixture(scope="module")
def shared(server_url: str, template: str) -> Iterator[ApiProcess]:
    """For all that only look."""
    with serving(server_url, template) as api:
        yield api


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_each_line_is_answered_as_it_says(
    shared: ApiProcess, server_url: str, template: str, command: str, answer: str
) -> None:
    with serving(server_url, template) if acts(command) or wears_off(answer) else contextlib.nullcontext(shared) as api:
        typed = command.replace("localhost:4000", f"127.0.0.1:{api.port}").replace("curl ", "curl --silent ", 1)
        done = subprocess.run(["bash", "-ec", typed], capture_output=True, text=True, timeout=60, check=True)
    assert lasting(json.loads(done.stdout)) == lasting(json.loads(answer))


def wears_off(answer: str) -> bool:
    """Whether it tells of the last minute: the shared database is soon older."""
    return "last_minute" in answer


def acts(command: str) -> bool:
    return re.search("-X POST|-d ", command) is not None


def lasting(value: Any) -> Any:
    """Without what is another each time: times, and fields that pass."""
    if isinstance(value, dict):
        return {name: None if name in PASSING else lasting(each) for name, each in value.items()}
    if isinstance(value, list):
        return [lasting(each) for each in value]
    return "a time" if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value) else value


def test_every_endpoint_and_every_parameter_is_there() -> None:
    commands = [str(example.values[0]) for example in EXAMPLES]
    for route in ROUTES:
        pattern = re.escape(route.path).replace(re.escape("{id}"), r"\d+") + r"[\s'?]"
        assert any(
            re.search(pattern, command) and ("POST" if acts(command) else "GET") == route.method for command in commands
        ), route.path
        assert [name for name in route.query.__struct_fields__ if f"`{name}`" not in TEXT] == []


def test_every_kind_of_problem_is_there() -> None:
    table = re.findall(r"^\| (\d+) \| `urn:v7:problem:([\w-]+)` \|", TEXT, re.MULTILINE)
    assert sorted((kind, int(status)) for status, kind in table) == sorted(
        (kind, status) for kind, (status, _) in TITLES.items()
    )
