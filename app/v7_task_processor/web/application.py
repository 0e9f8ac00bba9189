"""What the API serves: the hot routes by themselves, everything else through Starlette."""

import asyncio
import re

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .. import __version__
from ..keys import Keys
from ..observability.exposition import CONTENT_TYPE
from ..settings import Settings
from .callers import Refusal, let_in
from .event import shown
from .ingest import Ingest
from .metrics import Metrics
from .problem import Problem, refused
from .ready import Readiness
from .receive import PATH, Receiver
from .receive_batch import BATCH_PATH, BatchReceiver
from .scheme import scheme

WELCOME = """\
v7 task processor {version}: takes events in, and runs a Python function for each.

Send one:

  curl {base}{path} \\
    -H 'Content-Type: application/json' \\
    -d '{{"user_id": 1, "priority": 1, "event_data": {{"hello": "world"}}, "event_type_id": 1}}'

The answer names its job: {{"id": 1}}. Many at once, an event a line, go to {path}/batch.

/livez   200 while this process lives
/readyz  200 while it can take events, and what an answer of 200 is worth

/metrics       for Prometheus, of all nodes
/docs          how to send, look and act, with examples; /openapi.json for programs
/dashboard     all of it to look at, and to act on
"""
MANAGEMENT = re.compile(r"/api/(?!event/)|/(openapi\.json|docs)$")
DASHBOARD = re.compile(r"/dashboard(/|$)")


def application(settings: Settings, ingest: Ingest, readiness: Readiness, metrics: Metrics) -> ASGIApp:
    """The ASGI application."""
    receivers = {PATH: Receiver(settings, ingest), BATCH_PATH: BatchReceiver(settings, ingest)}
    pages = Pages(readiness, metrics, settings.keys).starlette()
    people = People(settings)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        handler: ASGIApp = receivers.get(path) or pages
        if MANAGEMENT.match(path):
            handler = people.management
        elif DASHBOARD.match(path):
            handler = people.dashboard
        await handler(scope, receive, send)

    return app


class People:
    """The management API and the dashboard, imported when one of them is first asked for. They share connections."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lock = asyncio.Lock()
        self.apps: tuple[ASGIApp, ASGIApp] | None = None

    async def management(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self.both())[0](scope, receive, send)

    async def dashboard(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self.both())[1](scope, receive, send)

    async def both(self) -> tuple[ASGIApp, ASGIApp]:
        async with self.lock:
            if self.apps is None:
                self.apps = await asyncio.to_thread(self.imported)
        return self.apps

    def imported(self) -> tuple[ASGIApp, ASGIApp]:
        from .dashboard.application import application as dashboard
        from .management.application import application as management
        from .management.store import Store

        assert self.settings.database_url is not None
        store = Store(self.settings.database_url, self.settings.redacted)
        return management(self.settings, store), dashboard(self.settings, store)


class Pages:
    """What is asked now and then."""

    def __init__(self, readiness: Readiness, metrics: Metrics, keys: Keys) -> None:
        self.readiness, self.metrics, self.keys = readiness, metrics, keys

    def starlette(self) -> Starlette:
        app = Starlette(
            routes=[
                Route("/", self.welcome),
                Route("/livez", self.livez),
                Route("/readyz", self.readyz),
                Route("/metrics", self.scrape),
            ],
            exception_handlers={HTTPException: refuse, Exception: fail},
        )
        app.router.redirect_slashes = False
        return app

    async def welcome(self, request: Request) -> Response:
        base = f"{scheme(request)}://{shown(request.headers.get('host', 'localhost'))}"
        return PlainTextResponse(WELCOME.format(version=__version__, base=base, path=PATH))

    async def livez(self, request: Request) -> Response:
        return PlainTextResponse("alive")

    async def readyz(self, request: Request) -> Response:
        reasons = await self.readiness.reasons()
        if reasons:
            return JSONResponse({"reasons": reasons}, 503)
        return PlainTextResponse(f"ready; {self.readiness.promise}")

    async def scrape(self, request: Request) -> Response:
        """For everybody, until there is a key that may read: it tells numbers, and nothing of an event."""
        if self.keys.any_may("read"):
            found = let_in(self.keys, "read", dict(request.scope["headers"]))
            if isinstance(found, Refusal):
                return refused(found).response()
        return Response(await self.metrics.scrape(), media_type=CONTENT_TYPE)


async def refuse(request: Request, error: Exception) -> Response:
    """404 and 405."""
    assert isinstance(error, HTTPException)
    path = shown(request.scope["path"])  # request.url would take the Host header apart, which may be anything
    if error.status_code != 405:
        return Problem("not-found", f"There is nothing at {path}; events go to POST {PATH}.").response()
    allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
    sentence = f"{path} takes {allowed} only, not {shown(request.method)}."
    return Problem("method-not-allowed", sentence, {"allow": allowed}).response()


async def fail(request: Request, error: Exception) -> Response:
    """A fault of ours. uvicorn logs it."""
    sentence = "This could not be answered because of an error in the program, which is logged."
    return Problem("internal", sentence).response()
