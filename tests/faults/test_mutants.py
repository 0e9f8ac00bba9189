"""Each promise is kept by some line: without it a ledger must be unclean, and with it clean (`make mutants`)."""

from pathlib import Path

import pytest

from . import mutants
from .cluster import Cluster
from .lab import Lab, mutated
from .mutants import MUTANTS, Mutant
from .scenarios import SCENARIOS, Scenario


def named(mutant: Mutant) -> str:
    return mutant.name.replace(" ", "-")


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_can_be_made(mutant: Mutant, tmp_path: Path) -> None:
    """What is not made with each test goes stale."""
    mutants.make(mutant, tmp_path / "app")


@pytest.mark.slow
@pytest.mark.mutant
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_product_comes_through(scenario: Scenario, cluster: Cluster, tmp_path: Path) -> None:
    with Lab(tmp_path / "lab", cluster, 1) as lab:
        scenario(lab)
        lab.settle()
        found = lab.report()
    assert found.passed, found


@pytest.mark.slow
@pytest.mark.mutant
@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
def test_a_mutant_does_not(mutant: Mutant, cluster: Cluster, tmp_path: Path) -> None:
    product = mutants.make(mutant, tmp_path / "app")
    with Lab(tmp_path / "lab", cluster, 1, mutated(product)) as lab:
        mutant.scenario(lab)
        lab.settles(20)
        found = lab.report()
    raised = {check for check, findings in found.findings.items() if findings}
    assert raised & mutant.caught_by, found
