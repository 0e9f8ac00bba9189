"""Who may manage: whoever knows V7_ADMIN_TOKEN; where none is set, a program on this machine.

Without a token nothing but the connection tells who asks, and three others can make one from here: a browser on a
page that names this machine by its own name (DNS rebinding: the Host header shows it), a page that sends a form here
(its Origin shows it), and a proxy (what it adds to the headers shows it, where it adds something).
"""

import hashlib
import hmac
import ipaddress

from starlette.datastructures import Headers

from ...settings import Settings
from .problem import Problem

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
SET_TOKEN = "Set V7_ADMIN_TOKEN, and send it as Authorization: Bearer <token>."  # noqa: S105 (it says how, not what)


class Access:
    """Lets in, or raises Problem."""

    def __init__(self, settings: Settings) -> None:
        token = settings.admin_token
        self.digest = None if token is None else hashlib.sha256(token.encode()).digest()
        self.listens_here = is_loopback(settings.host)

    def check(self, headers: Headers, client_host: str) -> None:
        if self.digest is not None:
            self.check_token(self.digest, headers)
        elif why := self.outside(headers, client_host):
            raise Problem("forbidden", f"Without V7_ADMIN_TOKEN only a program on this machine may manage: {why}.")

    def check_token(self, digest: bytes, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        found = hashlib.sha256(given.strip().encode("latin-1")).digest()
        if not (hmac.compare_digest(found, digest) and scheme.lower() == "bearer"):
            detail = "Send the token that V7_ADMIN_TOKEN is set to, as Authorization: Bearer <token>."
            raise Problem("unauthorized", detail, {"WWW-Authenticate": "Bearer"})

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
        if any(name in headers for name in FORWARDED):
            return f"this came through a proxy. {SET_TOKEN[:-1]}"
        return None


def named(host: str) -> str:
    """A Host header without its port."""
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).lower()


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
