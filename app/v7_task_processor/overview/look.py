"""Queries of sql/ for whoever looks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..sqlfile import PLACEHOLDER, load

Ask = Callable[[Any, Mapping[str, object]], Any]
"""Runs a query with its values: psycopg's `connection.execute`, or SQLAlchemy's `connection.exec_driver_sql`."""


class Look:
    """One file of sql/. Raises what the connection raises."""

    def __init__(self, name: str) -> None:
        self.text = PLACEHOLDER.sub(r"%(\1)s", load(name).replace("%", "%%"))

    def __call__(self, ask: Ask, **values: object) -> list[Sequence[Any]]:
        rows: list[Sequence[Any]] = ask(self.text, values).fetchall()
        return rows
