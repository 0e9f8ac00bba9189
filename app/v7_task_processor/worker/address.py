"""Where a node takes events."""

import errno
import os
import socket

from ..errors import ConfigurationError
from ..settings import Settings

PORT_HINT = "Stop what uses it, or choose another with --port or PORT."
HOST_HINT = "--host or HOST must be an address of this machine: 127.0.0.1 for itself alone, 0.0.0.0 or :: for all."
HOST_ERRORS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)


def listen(settings: Settings) -> socket.socket:
    """The socket that all API processes share: it outlives each of them, so none of their ends refuses a client.

    Raises ConfigurationError where the address cannot be had.
    """
    try:
        return bound(settings.host, settings.port)
    except (socket.gaierror, UnicodeError):  # an empty part in it, as in "a..b", is a UnicodeError
        why, hint = "there is no such address", HOST_HINT
    except OSError as error:
        why, hint = os.strerror(error.errno or 0), HOST_HINT if error.errno in HOST_ERRORS else PORT_HINT
    raise ConfigurationError(f"Cannot listen on {netloc(settings.host, settings.port)}: {why}. {hint}")


def bound(host: str, port: int) -> socket.socket:
    """A name that has addresses of both kinds is taken by the older one, as clients expect of localhost."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    both = address[0] == "::" and socket.has_dualstack_ipv6()
    # As it was found: with the zone of fe80::1%eth0, which a host and a port alone would not have.
    return socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=both)


def netloc(host: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
