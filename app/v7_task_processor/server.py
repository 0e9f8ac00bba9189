"""A Postgres server as it describes itself: which one it is, what stands beside it, and what of ours it has."""

from typing import NamedTuple

import psycopg

from . import database, pooler
from .unavailable import explained


class Standby(NamedTuple):
    """Who receives the server's log. Both are null where this user may not see them: only members of pg_monitor do.

    `state` is pg_stat_replication's sync_state: sync, quorum, potential or async.
    """

    name: str | None
    state: str | None


class Server(NamedTuple):
    """A server as it describes itself. `number` is its version as libpq counts: 180006; `schema` is ours in it."""

    version: str
    number: int
    host: str
    database: str
    settings: dict[str, str]
    is_standby: bool = False
    standbys: tuple[Standby, ...] = ()
    schema: str | None = None
    misfit: str = ""
    """Why this release cannot use that schema; empty: it can."""
    pooled: bool = False
    """A pooler such as PgBouncer stands between."""
    identity: str = ""
    """The same for two addresses that lead to one database: its name there, and when its server was started."""


# A backup copies files and a logical subscriber has no pages: neither takes over from this server.
STANDBYS = """
select application_name, sync_state from pg_stat_replication s
where state is distinct from 'backup' and not (sync_state is not distinct from 'async' and exists (
    select from pg_replication_slots where slot_type = 'logical' and active_pid = s.pid))
order by application_name, pid"""


def describe(url: str, names: list[str]) -> Server:
    """What serves a database, with these of its settings (those that it knows). Raises V7Error."""
    try:
        with database.connect_to_read(url) as connection:
            rows = connection.execute(
                "select name, current_setting(name, true) from unnest(%s::text[]) as given(name)", [names]
            ).fetchall()
            row = connection.execute("select pg_is_in_recovery()").fetchone()
            identity = connection.execute("select concat(current_database(), pg_postmaster_start_time())").fetchone()
            info = connection.info
            return Server(
                version=info.parameter_status("server_version") or str(info.server_version),
                number=info.server_version,
                host=info.host,
                database=info.dbname,
                settings={name: setting for name, setting in rows if setting is not None},
                is_standby=row is not None and row[0],
                standbys=tuple(Standby(*each) for each in connection.execute(STANDBYS).fetchall()),
                schema=database.schema_version(connection),
                misfit=database.misfit(connection),
                pooled=pooler.is_between(connection),
                identity=identity[0] if identity else "",
            )
    except psycopg.OperationalError as error:
        raise explained(error) from None
