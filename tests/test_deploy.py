"""What is deployed beside the program: the dashboard and the alert rules name what there is, docs/metrics.md too."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from v7_task_processor.cli.root import Root
from v7_task_processor.observability.families import FAMILIES, reference
from v7_task_processor.settings import ENVIRONMENT

from .prometheus import promtool

ROOT = Path(__file__).parents[1]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "v7.json").read_text())
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
NAMES = {family.name for family in FAMILIES if family.kind != "histogram"} | {
    family.name + suffix
    for family in FAMILIES
    if family.kind == "histogram"
    for suffix in ("_bucket", "_sum", "_count")
}
LABELS = {label for family in FAMILIES for label in family.labels} | {"instance", "le"}
NO_PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool (Debian: package prometheus)")


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel.get("targets", [])]


ALL_EXPRESSIONS = [expr for panel in DASHBOARD["panels"] for expr in expressions(panel)]


def rules() -> dict[str, str]:
    """Each alert's text by its name."""
    _, *parts = re.split(r"^      - alert: (\w+)\n", RULES.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_reference_is_what_the_code_says() -> None:
    """To renew it: python -m v7_task_processor.observability.families > docs/metrics.md"""
    assert (ROOT / "docs" / "metrics.md").read_text() == reference()


@pytest.mark.parametrize("expr", ALL_EXPRESSIONS)
def test_the_dashboard_names_metrics_and_labels_that_there_are(expr: str) -> None:
    named = set(re.findall(r"\bv7_\w+", expr))
    assert named
    assert named <= NAMES
    for group in re.findall(r"\b(?:by|without|on) \(([^)]*)\)", expr):
        assert {label.strip() for label in group.split(",")} <= LABELS


def test_the_dashboard_shows_every_metric_but_what_is_for_others() -> None:
    shown = {name for expr in ALL_EXPRESSIONS for name in re.findall(r"\bv7_\w+", expr)}
    missing = {family.name for family in FAMILIES if not any(name.startswith(family.name) for name in shown)}
    assert missing == set()


def test_its_panels_lie_beside_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[x, y] = panel["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", rules())
def test_each_rule_names_metrics_that_there_are_and_says_what_to_do(name: str) -> None:
    text = rules()[name]
    named = set(re.findall(r"\bv7_\w+", text))
    assert named
    assert {each for each in named if each not in NAMES} <= {family.name for family in FAMILIES}
    for wanted in ("expr", "severity", "summary", "description", "action"):
        assert re.search(rf"^ +{wanted}: .", text, re.MULTILINE), wanted


def test_what_a_rule_advises_can_be_done() -> None:
    """Commands and settings that it names are the program's."""
    root = Root()
    context = click.Context(root)
    text = RULES.read_text()
    assert set(re.findall(r"\bV7_[A-Z_]+", text)) <= ENVIRONMENT.keys()
    commands = re.findall(r"`v7 (\w+)(?: (\w+))?", text)
    assert ("dead", "redrive") in commands
    for name, further in commands:
        command = root.get_command(context, name)
        assert command is not None, name
        if further and further.islower():
            assert isinstance(command, click.Group), name
            assert further in command.commands, further


@NO_PROMTOOL
def test_prometheus_own_tool_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


SERIES = """
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {{series: 'v7_build_info{{version="1", schema="2", python="3", instance="a"}}', values: '1x60'}}
      - {{series: 'v7_workers{{instance="a"}}', values: '1x60'}}
      - {{series: 'v7_oldest_queued_age_seconds{{event_type_id="1", instance="a"}}', values: '0+60x60'}}
      - {{series: 'v7_oldest_queued_age_seconds{{event_type_id="2", instance="a"}}', values: '0+60x60'}}
      - {{series: 'v7_event_type_paused{{event_type_id="1", instance="a"}}', values: '0x60'}}
      - {{series: 'v7_event_type_paused{{event_type_id="2", instance="a"}}', values: '1x60'}}
      - {{series: 'v7_attempts_total{{event_type_id="1", outcome="failed", instance="a"}}', values: '0+30x60'}}
      - {{series: 'v7_attempts_total{{event_type_id="1", outcome="failed", instance="b"}}', values: '0+30x60'}}
      - {{series: 'v7_attempts_total{{event_type_id="1", outcome="succeeded", instance="a"}}', values: '0+70x60'}}
      - {{series: 'v7_attempts_total{{event_type_id="2", outcome="failed", instance="a"}}', values: '0+1x60'}}
      - {{series: 'v7_attempts_total{{event_type_id="2", outcome="succeeded", instance="a"}}', values: '0+99x60'}}
      - {{series: 'v7_dead_lettered_total{{event_type_id="1", instance="a"}}', values: '0x30 1+0x30'}}
    alert_rule_test:
      - {{alertname: V7Silent, eval_time: 40m, exp_alerts: []}}
      - {{alertname: V7NoWorkers, eval_time: 40m, exp_alerts: []}}
      - alertname: V7JobsWait
        eval_time: 15m
        exp_alerts:
          - exp_labels: {{severity: warning, event_type_id: "1"}}
            exp_annotations: {{{jobs_wait}}}
      - alertname: V7AttemptsFail
        eval_time: 40m
        exp_alerts:
          - exp_labels: {{severity: warning, event_type_id: "1"}}
            exp_annotations: {{{attempts_fail}}}
      - {{alertname: V7DeadLetters, eval_time: 20m, exp_alerts: []}}
      - {{alertname: V7DeadLetters, eval_time: 50m, exp_alerts: []}}
"""


def annotations(name: str, **values: str) -> str:
    """As promtool wants to see them: with what the template makes of the values."""
    found = dict(re.findall(r"^ {10}(summary|description|action): (.+)$", rules()[name], re.MULTILINE))
    texts = {key: json.loads(text) if text.startswith('"') else text for key, text in found.items()}
    for template, value in values.items():
        texts = {key: re.sub(r"\{\{ \$" + template + r"[^}]*\}\}", value, text) for key, text in texts.items()}
    return ", ".join(f"{key}: {json.dumps(text)}" for key, text in texts.items())


@NO_PROMTOOL
def test_rules_fire_for_what_they_are_made_for_and_not_for_a_paused_type(tmp_path: Path) -> None:
    given = tmp_path / "rules_test.yml"
    text = SERIES.format(
        rules=RULES,
        jobs_wait=annotations("V7JobsWait", **{"value": "15m 0s", r"labels\.event_type_id": "1"}),
        attempts_fail=annotations("V7AttemptsFail", **{"value": "30%", r"labels\.event_type_id": "1"}),
    )
    given.write_text(text)
    promtool("test", "rules", str(given))
