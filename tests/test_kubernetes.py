"""What is given to Kubernetes: its own schemas take it, and it says what the program needs."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg
import pytest
import yaml

from v7_task_processor.cli.root import COMMANDS
from v7_task_processor.settings import ENVIRONMENT, load

FOLDER = Path(__file__).parents[1] / "deploy" / "kubernetes"
VERSION = "1.33"
KEDA = "keda.sh/v1alpha1"


def documents(file: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(file.read_text()) if each]


BASE = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [each for name in BASE["resources"] for each in documents(FOLDER / name)]
(SCALED,) = documents(FOLDER / "autoscaling" / "worker.yaml")
PODS = {
    each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in OBJECTS if "template" in each.get("spec", {})
}


def environment(pod: dict[str, Any]) -> dict[str, str]:
    """What a node is started with; "1" for what comes from a secret."""
    return {each["name"]: each.get("value", "1") for each in pod["containers"][0]["env"]}


@pytest.mark.parametrize("found", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_schemas_of_kubernetes_take_it(found: dict[str, Any]) -> None:
    kubernetes_validate.validate(found, VERSION, strict=True)


def test_every_file_is_named() -> None:
    assert {file.name for file in FOLDER.glob("*.yaml")} == {"kustomization.yaml", *BASE["resources"]}


@pytest.mark.parametrize("name", PODS)
def test_a_node_is_set_up_as_the_program_wants_it(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    assert container["args"][0] in COMMANDS
    settings = load(environment=environment(pod))
    assert environment(pod).keys() <= ENVIRONMENT.keys()
    if name != "v7-migrate":
        assert pod["terminationGracePeriodSeconds"] == settings.shutdown_seconds + 5
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("name", PODS)
def test_a_node_has_no_rights_that_it_does_not_need(name: str) -> None:
    pod = PODS[name]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_an_api_node_serves_until_its_readiness_was_asked_often_enough() -> None:
    settings = load(environment=environment(PODS["v7-api"]))
    probe = PODS["v7-api"]["containers"][0]["readinessProbe"]
    assert settings.grace_seconds > probe["periodSeconds"] * probe["failureThreshold"]


def test_the_autoscaler_asks_what_the_database_can_answer(database_url: str) -> None:
    (trigger,) = SCALED["spec"]["triggers"]
    assert SCALED["apiVersion"] == KEDA
    assert SCALED["spec"]["scaleTargetRef"]["name"] in PODS
    assert trigger["metadata"]["connectionFromEnv"] in environment(PODS["v7-worker"])
    with psycopg.connect(database_url) as connection:
        connection.execute("select v7.enqueue(1, 1, 1, '1') from generate_series(1, 3)")
        assert connection.execute(trigger["metadata"]["query"]).fetchall() == [(3,)]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl")
def test_kustomize_builds_it() -> None:
    built = subprocess.run(["kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=True).stdout
    found = [each for each in yaml.safe_load_all(built) if each]
    assert len(found) == len(OBJECTS)
    (api,) = [each for each in found if (each["kind"], each["metadata"]["name"]) == ("Deployment", "v7-api")]
    assert api["spec"]["template"]["spec"]["containers"][0]["image"] == "v7_task_processor:latest"
    (service,) = [each for each in found if each["kind"] == "Service"]
    assert service["spec"]["selector"].items() <= api["spec"]["template"]["metadata"]["labels"].items()
