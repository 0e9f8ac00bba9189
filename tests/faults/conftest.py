"""Postgres servers that a test may break."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, cluster_from, make_template


@pytest.fixture(scope="session")
def cluster_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of a run: whoever comes first makes it, in the folder that they share."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = shared / "cluster-template", shared / "cluster-template.done"
    with (shared / "cluster-template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make_template(folder)
            done.touch()
    return folder / "data"


@pytest.fixture
def cluster(cluster_template: Path, tmp_path: Path) -> Iterator[Cluster]:
    """A durable, migrated server of this test's own."""
    with cluster_from(cluster_template, tmp_path / "cluster") as made:
        yield made
