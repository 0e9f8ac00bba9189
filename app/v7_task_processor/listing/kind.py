"""The kind of an error, by which dead letters are grouped and chosen."""

from typing import Any

import sqlalchemy as sa

KIND_CHARS_MAX = 200
"""pick.sql has it too."""


def kind_of(rows: sa.FromClause) -> sa.ColumnElement[Any]:
    """What stands before the first colon of the last error."""
    error = sa.func.coalesce(rows.c.last_error, rows.c.dead_reason)
    return sa.func.left(sa.func.split_part(error, ":", 1), KIND_CHARS_MAX)
