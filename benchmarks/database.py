"""A fresh database for each measurement."""

import uuid
from types import TracebackType
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Database:
    """Made on entering, dropped on leaving. `url` is a libpq string, `dsn` the same for asyncpg.

    `copy_of`: another database, to which nobody is connected, of which this one is a copy.
    """

    def __init__(self, server_url: str, copy_of: str | None = None) -> None:
        self.admin = psycopg.connect(server_url, autocommit=True)
        self.name = f"bench_{uuid.uuid4().hex[:8]}"
        self.copy_of = copy_of
        self.parts: dict[str, Any] = {**conninfo_to_dict(server_url), "dbname": self.name}
        self.url = make_conninfo("", **self.parts)

    def __enter__(self) -> Self:
        name = sql.Identifier(self.name)
        if self.copy_of:
            # Files are copied as they are, statistics and all: seconds for what took minutes to fill.
            template = sql.Identifier(self.copy_of)
            self.admin.execute(sql.SQL("create database {} template {} strategy file_copy").format(name, template))
        else:
            self.admin.execute(sql.SQL("create database {}").format(name))
        self.connection = psycopg.connect(self.url, autocommit=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self.connection.close()
        self.admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(self.name)))
        self.admin.close()

    @property
    def asyncpg(self) -> dict[str, Any]:
        """Arguments for asyncpg.connect."""
        return {"host": self.parts["host"], "user": self.parts["user"], "database": self.name}

    @property
    def environment(self) -> dict[str, str]:
        """What tells libpq, and all who do as it does, where the database is."""
        names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
        return {names[part]: str(value) for part, value in self.parts.items() if part in names}

    def value(self, query: LiteralString, *arguments: object) -> Any:
        """The first column of the first row."""
        row = self.connection.execute(query, arguments or None).fetchone()
        return row and row[0]

    def settle(self) -> None:
        """As after a quiet night: statistics taken while nothing runs, nothing left to write."""
        self.connection.execute("vacuum analyze")
        self.connection.execute("checkpoint")
