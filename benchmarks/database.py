"""A fresh database for each measurement."""

import uuid
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Database:
    """Made on entering, dropped on leaving. `url` is a libpq string, `dsn` the same for asyncpg."""

    def __init__(self, server_url: str) -> None:
        self.admin = psycopg.connect(server_url, autocommit=True)
        self.name = f"bench_{uuid.uuid4().hex[:8]}"
        self.parts = {**conninfo_to_dict(server_url), "dbname": self.name}
        self.url = make_conninfo("", **self.parts)

    def __enter__(self) -> Self:
        self.admin.execute(f"create database {self.name}")
        self.connection = psycopg.connect(self.url, autocommit=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self.connection.close()
        self.admin.execute(f"drop database {self.name} with (force)")
        self.admin.close()

    @property
    def asyncpg(self) -> dict[str, Any]:
        """Arguments for asyncpg.connect."""
        return {"host": self.parts["host"], "user": self.parts["user"], "database": self.name}

    def settle(self) -> None:
        """As after a quiet night: statistics taken while nothing runs, nothing left to write."""
        self.connection.execute("vacuum analyze")
        self.connection.execute("checkpoint")
