"""Requests to a running server, as any other client would make them."""

import contextlib
import http.client
import json
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import SplitResult, urlsplit

import click

from ..errors import V7Error
from ..text import plain

PATH = "/api/event/v1"
PROBLEM = "application/problem+json"
TIMEOUT_SECONDS = 60
ANSWER_BYTES_MAX = 2**20
RETRY_AFTER_SECONDS_MAX = 10


class Answer(NamedTuple):
    """What the server said."""

    status: int
    reason: str
    body: bytes
    content_type: str
    retry_after: str

    @property
    def is_ok(self) -> bool:
        return self.status == http.client.OK

    @property
    def retry_after_seconds(self) -> int:
        """When to try again."""
        return min(int(self.retry_after), RETRY_AFTER_SECONDS_MAX) if self.retry_after.isdecimal() else 1

    def said(self) -> str:
        """For people."""
        text = self.body.decode("utf-8", "replace").strip()
        if self.content_type == PROBLEM:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                text = str(json.loads(text)["detail"])
        return f"{plain(text) or self.reason} (HTTP {self.status})"


class Server:
    """A connection to a server. `url` is its address; its path may be there already."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self.base = split(url)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        kind = http.client.HTTPSConnection if self.base.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(self.base.hostname or "", self.base.port, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Raises V7Error where nobody answers."""
        before = self.base.path.rstrip("/").removesuffix(PATH)
        try:
            self.connection.request("POST", before + path, body, self.headers | headers)
            response = self.connection.getresponse()
            answer = response.read(ANSWER_BYTES_MAX)
            response.read()
        except (OSError, http.client.HTTPException) as error:
            where = f"{self.base.scheme}://{self.base.netloc}"
            raise V7Error(f"No answer from {where}: {error}. Is `v7 run` running there?") from None
        content_type, again = (response.headers.get(name, "") for name in ("Content-Type", "Retry-After"))
        return Answer(response.status, response.reason, answer, content_type, again)


def split(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):  # of a bracket that does not close, or a port that is none
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise click.BadParameter(f"{url!r} is not like http://host:port.", param_hint="--url")
