"""Refusals as RFC 9457 has them: application/problem+json."""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from starlette.responses import Response

from .callers import Refusal

MEDIA_TYPE = "application/problem+json"
TITLES: dict[str, tuple[int, str]] = {
    "bad-request": (400, "The request is not understood"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "Not from there, or not with this key"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "Not by that method"),
    "conflict": (409, "Not in the state that it is in"),
    "too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body is not JSON"),
    "internal": (500, "An error in the program"),
    "not-added": (500, "It was not added"),
    "not-known": (500, "It is not known whether it was done"),
    "unavailable": (503, "Not now"),
}
"""Each kind of problem: its status, and what all of the kind have in common."""
OF_STATUS = {status: kind for kind, (status, _) in TITLES.items() if status != 500}


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Why something was not done. `type` names the kind, `detail` says what it was this time and what to do."""

    type: str
    title: str
    status: Annotated[int, msgspec.Meta(description="The status of the answer.")]
    detail: str


class Problem(Exception):
    """Something that is not done, and why."""

    def __init__(self, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers = kind, detail, dict(headers or {})

    @property
    def status(self) -> int:
        return TITLES[self.kind][0]

    def encoded(self) -> bytes:
        status, title = TITLES[self.kind]
        document = ProblemDocument(type=f"urn:v7:problem:{self.kind}", title=title, status=status, detail=self.detail)
        return msgspec.json.encode(document)

    def response(self) -> Response:
        return Response(self.encoded(), self.status, self.headers, MEDIA_TYPE)


def refused(refusal: Refusal) -> Problem:
    """Who asks is not let in."""
    if refusal.status == 401:
        return Problem("unauthorized", refusal.sentence, {"WWW-Authenticate": "Bearer"})
    return Problem("forbidden", refusal.sentence)


def unavailable(detail: str, again_seconds: int = 1) -> Problem:
    """A 503 that says when to try again."""
    return Problem("unavailable", detail, {"Retry-After": str(again_seconds)})
