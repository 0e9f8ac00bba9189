"""The only place that loads sql/: a file becomes a statement that can be called."""

import re
from importlib import resources
from typing import Any

import psycopg
from psycopg import AsyncRawCursor

Connection = psycopg.AsyncConnection[Any]
PLACEHOLDER = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """One file of sql/. `:name` stands for a value; it becomes `$n`, so that nothing is rewritten at a call."""

    def __init__(self, name: str) -> None:
        text = (resources.files("v7_task_processor") / "sql" / f"{name}.sql").read_text()
        text = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        self.names: list[str] = list(dict.fromkeys(PLACEHOLDER.findall(text)))
        self.text = PLACEHOLDER.sub(lambda match: f"${self.names.index(match[1]) + 1}", text)

    async def __call__(self, connection: Connection, **values: object) -> list[tuple[Any, ...]]:
        async with AsyncRawCursor(connection) as cursor:
            parameters = [literal(values[name]) for name in self.names]
            await cursor.execute(self.text, parameters, prepare=True, binary=True)
            return await cursor.fetchall()


def literal(value: object) -> object:
    """Numbers as text of no declared type: psycopg would declare the smallest type that holds each value, and
    each new combination of types would be prepared, and planned, anew."""
    if type(value) in (int, float):
        return str(value)
    if isinstance(value, list) and (not value or type(value[0]) in (int, float)):
        return "{" + ",".join(map(str, value)) + "}"
    if isinstance(value, list) and all(type(each) is str for each in value):
        return "{" + ",".join(map(quoted, value)) + "}"  # psycopg quotes with a regular expression, ten times slower
    return value


def quoted(text: str) -> str:
    """An element of an array literal."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
