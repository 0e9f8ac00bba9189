"""Whether this process is a copy that a handler made with `os.fork` and then let run back into our code.

Such a copy has the same jobs, loop and connections as its parent; whatever it did with them would be done twice.
And for as long as it lives, a daemon perhaps, the server would believe that its parent does.
"""

import os
from collections.abc import Mapping
from weakref import WeakSet

from .. import database
from ..pooler import Session
from ..queue import Connection

_connections: "WeakSet[Connection]" = WeakSet()


async def connect(url: str, settings: Mapping[str, str]) -> Session:
    """`database.connect`, for a connection that copies of this process do not share."""
    connection = await database.connect(url, settings)
    _connections.add(connection)
    return connection


class Fork:
    """`happened` is true in a copy. A flag, since asking for the process id at each job costs a system call."""

    happened = False


def mark() -> None:
    Fork.happened = True
    nothing = os.open(os.devnull, os.O_RDWR)
    for connection in _connections:
        if not connection.closed:
            # Not closed: libpq would go on to use whatever has its number then.
            os.dup2(nothing, connection.fileno(), inheritable=False)
    os.close(nothing)


os.register_at_fork(after_in_child=mark)


def leave_if_copy() -> None:
    """End a copy here: its parent has the job."""
    if Fork.happened:
        os._exit(1)
