"""Which database a command works on: DATABASE_URL, or the embedded one, for as long as the command takes."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import database
from ..errors import ConfigurationError, V7Error
from ..settings import Settings, data_path
from ..unavailable import MANAGEMENT_CONNECTIONS, NODE_CONNECTIONS, WORKER_CONNECTIONS

if TYPE_CHECKING:
    import sqlalchemy as sa

    from ..embedded import Server
    from ..overview import Ask

CONNECTIONS_SPARE = 180


class Place(NamedTuple):
    """A database. `server` is the embedded one's, else None. `direct_url` leads past a pooler, if there is a way."""

    url: str
    server: "Server | None"
    direct_url: str | None = None

    @property
    def session_url(self) -> str:
        """Where a session lasts. Raises ConfigurationError."""
        return self.url if self.direct_url is None else past_pooler(self.direct_url)


def past_pooler(url: str) -> str:
    """V7_DIRECT_DATABASE_URL as it stands there. Raises ConfigurationError where it is no address."""
    database.conninfo(url, variable="V7_DIRECT_DATABASE_URL")
    return url


@contextlib.contextmanager
def opened(settings: Settings, *, create: bool = False) -> Iterator[Place]:
    """The database that the settings name. The embedded one is started where it does not run, made if `create`."""
    if settings.database_url is not None:
        yield Place(settings.database_url, None, settings.direct_database_url)
        return
    if settings.direct_database_url is not None:
        raise ConfigurationError("V7_DIRECT_DATABASE_URL is another address of DATABASE_URL's database: set both.")
    from .. import embedded

    folder = data_path(settings)
    if not create and not (folder / "postgres").exists():
        raise V7Error(
            f"There is nothing in {folder} yet. Start with `v7 run`; or set DATABASE_URL, or V7_DATA_DIR, "
            "if your events are elsewhere."
        )
    with embedded.start(folder, settings={"max_connections": str(connections_max(settings))}) as server:
        yield Place(server.url, server)


def connections_max(settings: Settings) -> int:
    """What the node of these settings may need, with a lone worker beside each, and what others find free then:
    commands, psql, a node that is about to end."""
    workers, apis = 2 * settings.worker_processes, settings.api_processes
    needed = NODE_CONNECTIONS + 1 + workers * WORKER_CONNECTIONS + apis * MANAGEMENT_CONNECTIONS
    return needed + CONNECTIONS_SPARE


@contextlib.contextmanager
def checked(settings: Settings) -> Iterator[Place]:
    """The same, with the schema that this release needs. Raises ConfigurationError if it has another."""
    with opened(settings) as place:
        database.check(place.url)
        yield place


@contextlib.contextmanager
def reading(settings: Settings) -> "Iterator[sa.Connection]":
    """A connection for listings."""
    from .. import listing

    with checked(settings) as place, listing.reading(place.url, redact=settings.redacted) as connection:
        yield connection


@contextlib.contextmanager
def seeing(settings: Settings) -> "Iterator[Ask]":
    """To ask for the state of the whole."""
    from .. import overview

    with checked(settings) as place, overview.seeing(place.url) as ask:
        yield ask


def ensure_schema(url: str) -> None:
    """Migrate, unless there is nothing to do: the tools for it stay in memory as long as the process."""
    try:
        database.check(url)
    except ConfigurationError:
        database.migrate(url)
