"""Who may see and manage: whoever has a key for it; where there is none, a program on this machine.

Without a key nothing but the connection tells who asks, and three others can make one from here: a browser on a
page that names this machine by its own name (DNS rebinding: the Host header shows it), a page that sends a form here
(its Origin shows it), and a proxy (what it adds to the headers shows it, where it adds something).
"""

import re

from starlette.datastructures import Headers
from starlette.requests import Request

from ...keys import Right, is_loopback
from ...settings import Settings
from ..callers import Caller, Refusal, let_in
from ..problem import Problem, refused

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
FORWARDED = re.compile(
    r"forwarded|x-forwarded-.*|x-real-ip|via|.*-client-ip|.*-connecting-ip|x-envoy-.*|x-amzn-trace-id"
)
"""Headers that proxies add, and no program on its own."""
SET_TOKEN = "Set V7_ADMIN_TOKEN, and send it as Authorization: Bearer <token>."  # noqa: S105 (it says how, not what)


class Access:
    """Lets in, or raises Problem."""

    def __init__(self, settings: Settings) -> None:
        self.keys = settings.keys
        self.guarded = self.keys.any_may("read")
        self.listens_here = is_loopback(settings.host)

    def check(self, request: Request, right: Right = "read") -> Caller:
        """Who asks, if they may. Raises Problem."""
        host = request.client.host if request.client else ""
        if not self.guarded:
            if why := self.outside(request.headers, host):
                raise Problem("forbidden", f"Without V7_ADMIN_TOKEN only a program on this machine may manage: {why}.")
            return Caller(None, host)
        found = let_in(self.keys, right, dict(request.scope["headers"]))
        if isinstance(found, Refusal):
            raise refused(found)
        return Caller(found, host)

    def outside(self, headers: Headers, client_host: str) -> str | None:
        """Why this may come from elsewhere; None: it comes from here."""
        if not self.listens_here:
            return f"HOST is not a loopback address. {SET_TOKEN[:-1]}"
        if not is_loopback(client_host):
            return f"this connection comes from elsewhere. {SET_TOKEN[:-1]}"
        host = headers.get("host", "")
        if named(host) not in LOOPBACK_NAMES:
            return f"the Host header must be {', '.join(LOOPBACK_NAMES[:-1])} or {LOOPBACK_NAMES[-1]}"
        if headers.get("origin", f"http://{host}").lower() != f"http://{host}".lower():
            return f"a page of another origin sent this. {SET_TOKEN[:-1]}"
        if any(FORWARDED.fullmatch(name) for name in headers):
            return f"this came through a proxy. {SET_TOKEN[:-1]}"
        return None


def named(host: str) -> str:
    """A Host header without its port."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).lower()
