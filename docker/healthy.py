"""The image's health check: whether this container takes events. Where it is not meant to, that it runs is enough."""

import http.client
import os
import sys
from pathlib import Path


def main() -> int:
    words = Path("/proc/1/cmdline").read_text().split("\0")  # tini -s -- v7 run --port 4000
    command = words[words.index("v7") + 1 :]
    if command[0] not in ("run", "api"):
        return 0
    connection = http.client.HTTPConnection("127.0.0.1", port(command), timeout=7)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    sys.stdout.write(f"{answer.status} {answer.read(1000).decode(errors='replace')}\n")
    return 0 if answer.status == 200 else 1


def port(command: list[str]) -> int:
    """Where it listens: the flag over the environment."""
    for word, following in zip(command, [*command[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name == "--port":
            return int(value or following)
    return int(os.environ.get("PORT") or 4000)


if __name__ == "__main__":
    sys.exit(main())
