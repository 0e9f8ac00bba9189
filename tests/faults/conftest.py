"""Postgres servers that a test may break."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, cluster_from, make_template


@pytest.fixture(scope="session")
def cluster_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("cluster", numbered=True))


@pytest.fixture
def cluster(cluster_template: Path, tmp_path: Path) -> Iterator[Cluster]:
    """A durable, migrated server of this test's own."""
    with cluster_from(cluster_template, tmp_path / "cluster") as made:
        yield made
