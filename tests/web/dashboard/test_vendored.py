"""What comes from others is what they published, to the byte."""

import hashlib
import json
from pathlib import Path

import pytest

from v7_task_processor.web.dashboard.templating import STATIC

OURS = {"dashboard.css", "dashboard.js", "icon.svg", "vendored.json"}


@pytest.mark.parametrize("folder", [STATIC, Path(__file__).parent / "vendor"], ids=["static", "tests"])
def test_each_file_has_the_digest_that_was_noted(folder: Path) -> None:
    noted = json.loads((folder / "vendored.json").read_text())
    for entry in noted:
        assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry["file"]
    assert {file.name for file in folder.iterdir()} - OURS == {entry["file"] for entry in noted}
    licences = {entry["package"] for entry in noted if entry["file"].endswith(".LICENSE")}
    assert licences == {entry["package"] for entry in noted}
