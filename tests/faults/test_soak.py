"""The soak itself, in small: what breaks next is decided by its seed."""

import tempfile
from pathlib import Path

import pytest

from . import soak


@pytest.mark.slow
@pytest.mark.fault()
def test_a_few_faults_at_random_leave_a_clean_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = soak.main(["30", "3", "--pause", "6"])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "all checks passed" in said
