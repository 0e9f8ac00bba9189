"""The text format: what is told is what a strict reader reads."""

import pytest

from v7_task_processor.observability import exposition, families
from v7_task_processor.observability.counts import Counts
from v7_task_processor.observability.exposition import Sample, render
from v7_task_processor.observability.families import FAMILIES, Family

from .prometheus import Scrape, promtool

HOSTILE = 'a"b\\c\nd,{e}="f" é\\n'


def one_of_each(label: str = "x") -> list[Sample]:
    return [Sample(family, (label,) * len(family.labels), family.nothing()) for family in FAMILIES]


def test_every_family_can_be_read() -> None:
    found = Scrape(render(one_of_each()))
    assert found.kinds == {family.name: family.kind for family in FAMILIES}
    assert found.helps == {family.name: family.help for family in FAMILIES}


def test_prometheus_own_tool_finds_nothing() -> None:
    promtool("check", "metrics", given=render(one_of_each()))


def test_hostile_labels_are_read_as_they_were_given() -> None:
    found = Scrape(render([Sample(families.BUILD_INFO, (HOSTILE, "", "\\"), [1])]))
    assert found.get("v7_build_info", version=HOSTILE, schema="", python="\\") == 1


def test_a_help_of_two_lines_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Family("v7_odd", "gauge", "one\\two\nthree")
    monkeypatch.setattr(exposition, "FAMILIES", (family,))
    assert Scrape(render([Sample(family, (), [1])])).helps == {"v7_odd": "one\\\\two\\nthree"}


@pytest.mark.parametrize("value", [0, 1, -1, 0.25, 1e-7, 123456789012345, 2.0**60, 1e300])
def test_numbers_are_read_as_they_are(value: float) -> None:
    assert Scrape(render([Sample(families.SCRAPE_DURATION, (), [value])])).get("v7_scrape_duration_seconds") == value


def test_samples_of_a_family_stand_together_however_they_come() -> None:
    mixed = [
        Sample(families.NODES, ("alive",), [1]),
        Sample(families.WORKERS, (), [2]),
        Sample(families.NODES, ("lost",), [3]),
    ]
    found = Scrape(render(mixed))
    assert (found.get("v7_nodes", state="alive"), found.get("v7_nodes", state="lost")) == (1, 3)


def test_buckets_hold_what_is_at_their_bound_or_below() -> None:
    counts = Counts()
    counts.observe(families.CLAIM_DURATION, [0.0, 0.001, 0.00100001, 10.0, 10.1, 5.0])
    counts.observe(families.CLAIM_DURATION, [0.001])
    numbers = counts.numbers["v7_claim_duration_seconds||"]
    found = Scrape(render([Sample(families.CLAIM_DURATION, (), numbers)]))
    by_bound = {
        bound: found.get("v7_claim_duration_seconds_bucket", le=bound)
        for bound in ("0.001", "0.0025", "2.5", "10", "+Inf")
    }
    assert by_bound == {"0.001": 3, "0.0025": 4, "2.5": 4, "10": 6, "+Inf": 7}
    assert found.get("v7_claim_duration_seconds_sum") == pytest.approx(25.10300001)


@pytest.mark.parametrize(
    "text",
    [
        "v7_x 1\n",
        "# HELP v7_x x\n# TYPE v7_x counter\nv7_x 1\n",
        "# HELP v7_x_total x\n# TYPE v7_x_total counter\nv7_x_total -1\n",
        "# HELP v7_x x\n# TYPE v7_x gauge\nv7_x 1\nv7_x 1\n",
        "# HELP v7_x x\n# TYPE v7_x gauge\nv7_x one\n",
        '# HELP v7_x x\n# TYPE v7_x gauge\nv7_x{a="b"c"} 1\n',
        '# HELP v7_x x\n# TYPE v7_x gauge\nv7_x{a="b",} 1\n',
        "# HELP v7_x x\n# TYPE v7_x gauge\n# HELP v7_x x\n# TYPE v7_x gauge\nv7_x 1\n",
        '# HELP v7_x x\n# TYPE v7_x histogram\nv7_x_bucket{le="1"} 1\nv7_x_sum 1\nv7_x_count 1\n',
        '# HELP v7_x x\n# TYPE v7_x histogram\nv7_x_bucket{le="1"} 2\nv7_x_bucket{le="+Inf"} 1\nv7_x_count 1\n',
        "# HELP v7_x x\n# TYPE v7_x gauge\nv7_x 1",
    ],
)
def test_the_reader_refuses_what_is_wrong(text: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        Scrape(text)
