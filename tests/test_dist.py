"""A release, as `make dist` makes it from a commit: the wheel, the image, and the SBOM of both."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from v7_task_processor import __version__

from .containers import ROOT, base, docker

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800)]

TIME = "2026-01-02T03:04:05Z"
WHO = {f"GIT_{role}_{what}": who for role in ("AUTHOR", "COMMITTER")
       for what, who in (("NAME", "v7"), ("EMAIL", "v7@localhost"), ("DATE", TIME))}  # fmt: skip
Sbom = dict[str, tuple[str, dict[str, Any]]]


@dataclass
class Release:
    wheel: bytes
    sbom: bytes
    image: str
    said: str

    def shown(self, what: str) -> Any:
        return json.loads(docker("image", "inspect", "--format", f"{{{{json .{what}}}}}", self.image).stdout)


def git(clone: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=clone, env=os.environ | WHO, check=True, capture_output=True)


def committed(clone: Path) -> Path:
    """What stands here, committed or not, as one commit that is the same each time."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, check=True, capture_output=True, text=True)  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    git(clone, "init", "--quiet", "--initial-branch", "main")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "A release")
    return clone


def make_dist(clone: Path, image: str) -> subprocess.CompletedProcess[str]:
    """With this environment's tools; from nothing, as the engine keeps no layer for it."""
    command = ["make", "-o", ".venv/run", "dist", f"BIN={Path(sys.executable).parent}"]
    return subprocess.run([*command, f"IMAGE={image}", "DIST_ARGS=--no-cache"],
                          cwd=clone, capture_output=True, text=True, timeout=900, check=False)  # fmt: skip


def release(clone: Path, image: str) -> Release:
    done = make_dist(committed(clone), image)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    made = clone / "dist" / f"v7_task_processor-{__version__}"
    wheel = made.with_name(made.name + "-py3-none-any.whl")
    sbom = made.with_name(made.name + ".cdx.json")
    return Release(wheel.read_bytes(), sbom.read_bytes(), f"{image}:{__version__}", done.stdout)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Release]]:
    """Two of one commit, each from a clone of its own, and from nothing."""
    names = [f"v7_task_processor_dist_{os.getpid()}_{number}" for number in (1, 2)]
    try:
        yield [release(tmp_path_factory.mktemp("clone"), name) for name in names]
    finally:
        for name in names:
            docker("image", "rm", f"{name}:{__version__}", f"{name}:latest", check=False)


def locked(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==([^ ;\\]+)", text, re.MULTILINE))


def components(sbom: bytes) -> Sbom:
    found = json.loads(sbom)
    assert found["bomFormat"] == "CycloneDX"
    return {re.sub(r"[-_.]+", "-", component["name"]).lower(): (component["version"], component)
            for component in found["components"]}  # fmt: skip


def test_the_same_commit_makes_the_same_release(releases: list[Release]) -> None:
    """The images have other ids, since the engine writes down when it built them, but the same layers to the byte."""
    first, second = releases
    assert first.wheel == second.wheel
    assert first.sbom == second.sbom
    assert first.shown("RootFS.Layers") == second.shown("RootFS.Layers")
    assert first.shown("Config") == second.shown("Config")


def test_it_says_which_commit_it_is_of(releases: list[Release]) -> None:
    config = releases[0].shown("Config")
    assert isinstance(config, dict)
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert (labels["version"], labels["created"], labels["base.name"]) == (__version__, TIME, base())
    assert f"Made of commit {labels['revision']}" in releases[0].said
    assert f"image {releases[0].image}" in releases[0].said


def test_the_sbom_has_what_the_image_installs_and_nothing_else(releases: list[Release]) -> None:
    found = components(releases[0].sbom)
    assert {name: version for name, (version, _) in found.items()} == locked("run.txt")
    assert not (locked("dev.txt").keys() - locked("run.txt").keys()) & found.keys()


def test_the_sbom_says_which_files_and_licences(releases: list[Release]) -> None:
    text = (ROOT / "requirements" / "run.txt").read_text()
    found = components(releases[0].sbom)
    files = [reference for _, component in found.values() for reference in component["externalReferences"]]
    hashes = {
        digest["content"] for file in files if file["type"] == "distribution" for digest in file.get("hashes", ())
    }
    assert hashes == set(re.findall(r"sha256:([0-9a-f]{64})", text))
    assert all(component.get("licenses") for _, component in found.values() if component.get("scope") != "optional")


def test_the_image_has_that_sbom_and_that_wheel(releases: list[Release]) -> None:
    image = releases[0].image
    shipped = docker("run", "--rm", "--entrypoint", "cat", image, "/opt/v7/sbom.cdx.json").stdout
    assert shipped.encode() == releases[0].sbom
    installed = "from importlib.metadata import version; print(version('v7-task-processor'))"
    assert docker("run", "--rm", "--entrypoint", "python", image, "-c", installed).stdout.strip() == __version__


def test_what_is_not_committed_is_not_released(tmp_path: Path) -> None:
    clone = committed(tmp_path)
    (clone / "README.md").write_text("another\n")
    done = make_dist(clone, "v7_task_processor_dist_never")
    assert done.returncode != 0
    assert "README.md" in done.stderr
    assert not (clone / "dist").exists()


def test_what_has_two_versions_is_not_released(tmp_path: Path) -> None:
    """The one would be the wheel's and the other the image's, and that may be the tag of the release before."""
    clone = committed(tmp_path)
    project = clone / "pyproject.toml"
    project.write_text(project.read_text().replace(f'version = "{__version__}"', 'version = "99.0"'))
    git(clone, "commit", "--quiet", "--all", "--message", "Half a release")
    done = make_dist(clone, "v7_task_processor_dist_never")
    assert done.returncode != 0
    assert f"pyproject.toml says 99.0, the package itself {__version__}" in done.stderr
    assert not (clone / "dist").exists()
