"""Every command and query of docs/runbook.md, each block on a database with one of everything."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from v7_task_processor.cli import root
from v7_task_processor.observability.families import FAMILIES

from .conftest import fresh
from .population import populate
from .support import emptied
from .web.support import process

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "runbook.md").read_text()
ALERTS = re.findall(
    r"^      - alert: (\w+)$", (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(), re.MULTILINE
)
SECTIONS = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
FAILS_HERE = {"v7 doctor": 1}
"""On one of everything: a type is served by nobody."""


def blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def own_url(server_url: str, template: str) -> Iterator[str]:
    yield from fresh(server_url, template)


@pytest.fixture
def url(own_url: str) -> str:
    populate(emptied(own_url))
    return own_url


@pytest.mark.parametrize("section", [pytest.param(each, id=each.splitlines()[0]) for each in SECTIONS])
def test_what_a_section_says_can_be_done(
    url: str, section: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    for kind, block in re.findall(r"^```(sh|sql)\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        populate(emptied(url))
        if kind == "sql":
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(block.encode())
            continue
        for line in block.splitlines():
            if line.startswith("v7 "):
                assert root.run(shlex.split(line)[1:]) == FAILS_HERE.get(line, 0), capsys.readouterr()


def test_a_job_that_ran_twice_is_found(url: str) -> None:
    (query,) = blocks(next(each for each in SECTIONS if each.startswith("Jobs ran twice")), "sql")
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(query.encode()).fetchall() == []
        connection.execute("update v7.finished_jobs set attempt = 2 where id = 20")
        assert [row[0] for row in connection.execute(query.encode())] == [20]


def test_what_is_asked_of_the_server(url: str) -> None:
    (block,) = [each for each in blocks(TEXT, "sh") if "curl" in each]
    with process(url) as api:
        for line, begins in zip(block.splitlines(), ("alive", "ready; "), strict=True):
            typed = line.replace("localhost:4000", f"127.0.0.1:{api.port}")
            done = subprocess.run(["bash", "-ec", typed], capture_output=True, text=True, timeout=60, check=True)
            assert done.stdout.startswith(begins)


def test_every_line_is_run_by_a_test() -> None:
    lines = [line for block in blocks(TEXT, "sh") for line in block.splitlines()]
    assert [line for line in lines if not line.startswith(("v7 ", "curl -s localhost:4000/"))] == []
    assert set(re.findall(r"^```(\w+)$", TEXT, re.MULTILINE)) == {"sh", "sql", "promql"}


def test_it_names_metrics_that_there_are() -> None:
    names = {each.name + suffix for each in FAMILIES for suffix in ("", "_bucket")}
    asked = [name for block in blocks(TEXT, "promql") for name in re.findall(r"\bv7_\w+", block)]
    assert asked
    assert set(asked) <= names


def test_every_alert_has_its_place_and_every_section_says_what_to_do() -> None:
    assert set(re.findall(r"\bV7[A-Z]\w+", TEXT)) == set(ALERTS)
    for section in SECTIONS[1:]:
        assert "**Look.**" in section
        assert "**Act.**" in section
