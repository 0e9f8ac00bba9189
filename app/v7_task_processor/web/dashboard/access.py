"""Who may look, and who may act.

Looking takes a key that may read, or a session made from one; acting, one that may manage. Where there are no such keys
only a browser on this machine that calls it by its own name may do either.

A form is refused unless it comes from a page of ours: the browser says where it comes from (Origin, Sec-Fetch-Site),
and it repeats a random number that only our pages know (the cookie beside it is never sent along from elsewhere).
"""

import hashlib
import hmac
import re
import secrets
import time
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ...keys import Key
from ...settings import Settings
from ..callers import Caller, given
from ..management.access import Access
from ..problem import Problem
from ..scheme import scheme

SESSION_COOKIE = "v7_session"
FORM_COOKIE = "v7_form"
PATH = "/dashboard"
SESSION_SECONDS = 12 * 3600
DIGEST_ONLY = "the server has its SHA-256 only. Log in with one that it has as text, or in a file."
BY_A_PROXY = (
    "Where you came by a proxy, it must pass the Host header on as it came, with its port "
    "(nginx: proxy_set_header Host $http_host;)."
)
FORM_KEY = re.compile(r"[0-9a-f]{32}")


class Visitor(NamedTuple):
    """Who asks. `form_key` stands in each form that is made for them; `by_header`: no cookie let them in."""

    who: str
    key: Key | None
    may_act: bool
    form_key: str
    by_header: bool = False

    @property
    def has_session(self) -> bool:
        return self.key is not None and not self.by_header


class LoginNeeded(Exception):
    """To be sent to the form that asks for a key."""


class Guard:
    """Tells visitors apart."""

    def __init__(self, settings: Settings) -> None:
        self.access = Access(settings)
        self.keys = settings.keys

    def visitor(self, request: Request) -> Visitor:
        """Who may look here. Raises LoginNeeded, or Problem where no login would help."""
        host = request.client.host if request.client else ""
        outside = self.access.outside(request.headers, host)
        if not self.access.guarded:
            if outside is not None:
                raise Problem(
                    "forbidden", f"Without V7_ADMIN_TOKEN only a browser on this machine may look: {outside}."
                )
            return Visitor(Caller(None, host).who, None, True, form_key_of(request))
        by_header = given(dict(request.scope["headers"])) is not None
        key = self.access.check(request).key if by_header else self.session(request.cookies.get(SESSION_COOKIE, ""))
        if key is None:  # on this machine too: a proxy there calls for the whole world, and need not say so
            raise LoginNeeded
        may_act = key.may("manage")
        return Visitor(Caller(key, host).who, key, may_act, form_key_of(request), by_header)

    def check_may_act(self, visitor: Visitor) -> None:
        """Raises Problem for a key that may not."""
        if visitor.key is not None and not visitor.may_act:
            may = f"The key {visitor.key.name} may only look"
            raise Problem("forbidden", f"{may}; one that may manage is needed to act.")

    def check_form(self, request: Request, visitor: Visitor, form_key: str) -> None:
        """Whether a form came from a page of ours, from one who may act. Raises Problem."""
        self.check_may_act(visitor)
        if not visitor.by_header:  # no page of another's can send that header
            check_origin(request, form_key)

    def open_session(self, secret: str) -> str | None:
        """A cookie's value, for who has a key that may read. Raises Problem for one of which only the digest is known:
        whoever reads that in the settings could make himself a session of it."""
        key = self.keys.find(secret.encode("utf-8", "surrogateescape"))
        if key is None or not key.may("read"):
            return None
        if key.secret is None:
            raise Problem("forbidden", f"No session can be made from the key {key.name}: {DIGEST_ONLY}")
        until = str(int(time.time()) + SESSION_SECONDS)
        return f"{until}.{signed(key.secret, until)}"

    def session(self, value: str) -> Key | None:
        """The key that a session was made from, while it lasts."""
        until, _, signature = value.partition(".")
        found = None
        for key in self.keys.entries:
            if key.secret is not None and hmac.compare_digest(signature.encode(), signed(key.secret, until).encode()):
                found = key
        # Only what we signed is a number that int takes.
        return found if found is not None and found.may("read") and time.time() < int(until) else None


def signed(secret: str, text: str) -> str:
    key = secret.encode("utf-8", "surrogateescape")
    return hmac.new(key, f"v7 dashboard session {text}".encode(), hashlib.sha256).hexdigest()


def form_key_of(request: Request) -> str:
    """The random number that this browser has, or a new one for it."""
    known = request.cookies.get(FORM_COOKIE, "")
    return known if FORM_KEY.fullmatch(known) else secrets.token_hex(16)


def check_origin(request: Request, form_key: str) -> None:
    """Raises Problem where a page of another origin, or none, sent a form."""
    headers = request.headers
    host = headers.get("host", "").lower()
    here = (None, f"http://{host}", f"https://{host}")
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site", "same-origin")
    if (origin and origin.lower()) not in here or site not in ("same-origin", "none"):
        raise Problem("forbidden", f"A page of another origin sent this form; nothing was done. {BY_A_PROXY}")
    known = request.cookies.get(FORM_COOKIE, "")
    if not (FORM_KEY.fullmatch(known) and hmac.compare_digest(known.encode(), form_key.encode())):
        raise Problem(
            "forbidden", "This form was not made for this browser, or long ago. Go back, load the page again."
        )


def is_secure(request: Request) -> bool:
    """Whether the browser came by HTTPS: not every proxy says so, but a form names the page that it came from."""
    return scheme(request) == "https" or request.headers.get("origin", "").startswith("https://")


def set_cookie(response: Response, name: str, value: str, *, secure: bool, seconds: int | None = None) -> None:
    """A cookie that only this server gets, only from its own pages, and no script sees."""
    response.set_cookie(name, value, max_age=seconds, path=PATH, secure=secure, httponly=True, samesite="strict")
