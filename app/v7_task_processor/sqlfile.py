"""The only place that loads sql/."""

import re
from importlib import resources

PLACEHOLDER = re.compile(r"(?<!:):([a-z_]+)")
"""`:name` stands for a value."""
PART = re.compile(r"\{([a-z_]+)\}")
"""`{name}` stands for a file of sql/parts/: what several statements must say alike."""


def load(name: str) -> str:
    """A file of sql/ with its parts, without comments."""
    return PART.sub(lambda match: read(f"parts/{match[1]}"), read(name))


def read(name: str) -> str:
    text = (resources.files("v7_task_processor") / "sql" / f"{name}.sql").read_text()
    return "\n".join(line for line in text.splitlines() if not line.startswith("--"))
