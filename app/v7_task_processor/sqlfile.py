"""The only place that loads sql/."""

import re
from importlib import resources

PLACEHOLDER = re.compile(r"(?<!:):([a-z_]+)")
"""`:name` stands for a value."""


def load(name: str) -> str:
    """A file of sql/, without its comment."""
    text = (resources.files("v7_task_processor") / "sql" / f"{name}.sql").read_text()
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))
