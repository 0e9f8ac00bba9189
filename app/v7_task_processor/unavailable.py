"""What people are told where Postgres cannot be reached, or does not do what it was asked."""

from . import pooler
from .errors import DatabaseUnavailable, V7Error

READ_ONLY = "session is read-only"
"""What libpq says of a server that takes no writes."""
STANDBY_ONLY = (
    "The server is a standby (read-only), or set to be read-only: it takes no events. Point DATABASE_URL at the "
    "primary, or name all servers in it, and the primary is found: postgresql://user@one,two/database"
)
FULL = ("too many clients", "too many connections", "remaining connection slots", "no more connections allowed")
"""What Postgres says where max_connections, or the limit of a role or database, is reached; and PgBouncer of its."""
NODE_CONNECTIONS, WORKER_CONNECTIONS, API_CONNECTIONS, MANAGEMENT_CONNECTIONS = 5, 3, 6, 10
CONNECTIONS_NEEDED = (
    f"A node needs {NODE_CONNECTIONS} connections, {WORKER_CONNECTIONS} more for each worker process and "
    f"{API_CONNECTIONS} for each API process ({MANAGEMENT_CONNECTIONS} while its management is asked), and one while "
    "it carries out an operation: raise max_connections, or run fewer processes (V7_WORKER_PROCESSES, "
    "V7_API_PROCESSES)."
)
AWAY = ("08", "57P", "53300")
"""How the codes of those errors begin that end a connection, or let none be. What libpq itself says has no code."""


def is_away(error: Exception) -> bool:
    """Whether no connection is to be had, or to be kept; a server that answers may refuse what it is asked."""
    code = getattr(error, "sqlstate", None)
    return code is None or code.startswith(AWAY)


def explained(error: Exception) -> V7Error:
    """The error for people: what libpq said, without our connection string. DatabaseUnavailable, unless it was said by
    a server that answers and refused what it was asked."""
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip()
    if READ_ONLY in text:
        return DatabaseUnavailable(STANDBY_ONLY)
    said = text.splitlines() or ["no reason given"]
    if not is_away(cause):
        return V7Error(f"The database refused: {said[0]}")
    if pooler.OPTIONS_REFUSED in text:
        return DatabaseUnavailable(f"Cannot reach the database: {said[0]}. {pooler.OPTIONS}")
    if any(full in text for full in FULL):
        return DatabaseUnavailable(f"The database takes no more connections: {said[0]}. {CONNECTIONS_NEEDED}")
    return DatabaseUnavailable(
        f"Cannot reach the database: {said[0]}. Check DATABASE_URL and that the server runs "
        "(without DATABASE_URL an embedded one is used)."
    )
