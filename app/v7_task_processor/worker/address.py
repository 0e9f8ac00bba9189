"""Where a node takes events."""

import os
import socket

from ..errors import ConfigurationError
from ..settings import Settings


def listen(settings: Settings) -> socket.socket:
    """The socket that all API processes share: it outlives each of them, so none of their ends refuses a client.

    Raises ConfigurationError where the address cannot be had.
    """
    try:
        return socket.create_server((settings.host, settings.port), backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port}: {os.strerror(error.errno or 0)}. "
            "Stop what uses it, or choose another with --port or PORT."
        ) from None
