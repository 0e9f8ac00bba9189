"""Whether a pooler between us and Postgres lets us work, and how well: the start and `v7 doctor` say it."""

from typing import Literal, NamedTuple

from .. import pooler
from ..errors import ConfigurationError, V7Error
from ..server import Server, describe
from ..settings import Settings
from .place import past_pooler


class Pooling(NamedTuple):
    """`state` as `v7 doctor` has it."""

    state: Literal["holds", "note", "fails"]
    says: str
    todo: str = ""


def look(settings: Settings, server: Server) -> Pooling | None:
    """What stands between; None: nothing does, as far as can be seen. Asks the direct address, if there is one."""
    direct = settings.direct_database_url
    if direct is not None and settings.database_url is not None:
        try:
            beside = describe(past_pooler(direct), [])
        except ConfigurationError as error:
            return Pooling("fails", str(error))
        except V7Error as error:
            return Pooling("fails", f"V7_DIRECT_DATABASE_URL leads nowhere. {error}")
        if beside.pooled:
            return Pooling("fails", pooler.LIVES_ON)
        if beside.identity != server.identity:
            says = "V7_DIRECT_DATABASE_URL leads to another database than DATABASE_URL."
            return Pooling("fails", says, "Both must name one database, once with the pooler between and once without.")
    if not server.pooled:
        return None
    if direct is None:
        says = "DATABASE_URL leads through a pooler: events are looked for each second, no hint is heard"
        return Pooling("note", says, "Name the server itself with V7_DIRECT_DATABASE_URL, to start events at once.")
    return Pooling("holds", "DATABASE_URL leads through a pooler, hints and heartbeats past it")
