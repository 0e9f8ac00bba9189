"""A file of sql/ becomes a statement that can be called."""

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
from psycopg import AsyncRawCursor

from .. import pooler
from ..deadline import STATEMENT_SECONDS_MAX, Connection, deadline
from ..sqlfile import PLACEHOLDER, load

PATIENT_SECONDS = 600.0
"""After it was abandoned once a statement that is `patient` has STATEMENT_SECONDS_MAX for so long: it may be honest
work (a claim that walks over ten million dead rows), and to abandon it again and again would never end."""


class Statement:
    """One file of sql/. `:name` becomes `$n`, so that nothing is rewritten at a call.

    After `seconds_max` it is abandoned, with its connection: it raises OperationalError as where a connection
    breaks, and what became of it is as little known.
    """

    def __init__(self, name: str, seconds_max: float = STATEMENT_SECONDS_MAX, *, patient: bool = True) -> None:
        self.seconds_max, self.patient, self.patient_until = seconds_max, patient, 0.0
        text = load(name)
        self.names: list[str] = list(dict.fromkeys(PLACEHOLDER.findall(text)))
        self.text = PLACEHOLDER.sub(lambda match: f"${self.names.index(match[1]) + 1}", text)

    async def __call__(self, connection: Connection, **values: object) -> list[tuple[Any, ...]]:
        parameters = self.parameters(values)
        async with self.turn(connection), AsyncRawCursor(connection) as cursor:
            if (opening := getattr(connection, "opening", None)) is None:
                await cursor.execute(self.text, parameters, prepare=True, binary=True)
            else:
                async with pooler.opened(connection, opening):
                    await cursor.execute(self.text, parameters, binary=True)
            return await cursor.fetchall()

    async def after(self, first: "Statement", connection: Connection, **values: object) -> list[tuple[Any, ...]]:
        """The answer to it, in a transaction in which another runs before. All is sent at once, so that what the
        first locks is not held for the sake of this process."""
        async with (
            self.turn(connection),
            AsyncRawCursor(connection) as before,
            AsyncRawCursor(connection) as cursor,
        ):
            async with at_once(connection):
                await before.execute(first.text, first.parameters(values), prepare=True, binary=True)
                await cursor.execute(self.text, self.parameters(values), prepare=True, binary=True)
            return await cursor.fetchall()

    @contextlib.asynccontextmanager
    async def turn(self, connection: Connection) -> AsyncIterator[None]:
        """The connection for this statement alone, while its time lasts."""
        async with getattr(connection, "turn", None) or contextlib.nullcontext():
            with deadline(connection, self.seconds(), self.be_patient):
                try:
                    yield
                except psycopg.errors.ReadOnlySqlTransaction:
                    # The server has become a standby, or the session was made while writing was forbidden, and stays
                    # so when it is allowed again: only a new one may find that out.
                    await connection.close()
                    raise

    def parameters(self, values: dict[str, object]) -> list[object]:
        return [literal(values[name]) for name in self.names]

    def seconds(self) -> float:
        """How long it has now."""
        return STATEMENT_SECONDS_MAX if time.monotonic() < self.patient_until else self.seconds_max

    def be_patient(self) -> None:
        if self.patient:
            self.patient_until = time.monotonic() + PATIENT_SECONDS


@contextlib.asynccontextmanager
async def at_once(connection: Connection) -> AsyncIterator[None]:
    """What is executed here is sent at once, and is one transaction; behind a pooler with its settings."""
    if (opening := getattr(connection, "opening", None)) is not None:
        async with pooler.opened(connection, opening):
            yield
    else:
        async with connection.pipeline(), connection.transaction():
            yield


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
