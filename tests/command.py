"""The command `v7`, as a process of its own."""

import json
import os
import subprocess
import sys
from typing import Any

V7 = [sys.executable, "-P", "-m", "v7_task_processor.cli"]
Done = subprocess.CompletedProcess[str]


def v7(*arguments: object, url: str | None = None, stdin: str = "", **environment: str) -> Done:
    """Run `v7 ARGUMENTS` to its end, on this database."""
    names = {"PYTHONUTF8": "1", "COLUMNS": "80", "TZ": "UTC", **environment}
    if url is not None:
        names["DATABASE_URL"] = url
    return subprocess.run(
        [*V7, *map(str, arguments)],
        env=os.environ | names,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def answer(*arguments: object, url: str, **options: Any) -> Any:
    """What `v7 ARGUMENTS --json` prints."""
    done = v7(*arguments, "--json", url=url, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
