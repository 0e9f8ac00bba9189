"""The management as an ASGI application: each route of the table, guarded, and its answer as JSON."""

import functools

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Endpoint
from starlette.types import ASGIApp

from ...observability import logs
from ...settings import Settings
from ..event import shown
from ..problem import Problem
from ..scheme import scheme
from . import docs, openapi, parameters
from .access import Access
from .call import Call, Route, path_id
from .store import Store
from .table import ROUTES

log = logs.get(__name__)
JSON = "application/json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")


def application(settings: Settings, store: Store) -> ASGIApp:
    """All of the management."""
    access = Access(settings)
    document = openapi.document()
    encoded = msgspec.json.encode(document)
    page = docs.page(document, with_key(settings, access))

    async def described(_request: Request) -> Response:
        return Response(encoded, media_type=JSON)

    async def shown_to_people(request: Request) -> Response:
        text = docs.served_at(scheme(request), request.headers.get("host", ""), page)
        return Response(text, media_type="text/html", headers=docs.HEADERS)

    async def answer(request: Request, route: Route) -> Response:
        caller = access.check(request, "read" if route.method == "GET" else "manage")
        job_or_type = path_id(request.path_params["id"]) if "id" in request.path_params else 0
        query = parameters.query(request, route.query)
        body = None
        if route.body is not None:
            body = await parameters.body(request, route.body, settings.body_bytes_max)
        call = Call(store, settings, caller, job_or_type, query, body)
        return Response(msgspec.json.encode(await route.handle(call)), media_type=JSON)

    def endpoint(methods: list[Route]) -> Endpoint:
        """All methods of one path. Those that it does not take end here too, not at a path with an id in this place."""
        by_method = {route.method: route for route in methods}
        if "GET" in by_method:
            by_method["HEAD"] = by_method["GET"]

        async def one(request: Request) -> Response:
            if request.method not in by_method:
                raise HTTPException(405, headers={"Allow": ", ".join(by_method)})
            return await answer(request, by_method[request.method])

        return Endpoint(methods[0].path, one, methods=METHODS)

    paths: dict[str, list[Route]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, []).append(route)
    app = Starlette(
        routes=[
            *map(endpoint, paths.values()),
            Endpoint(openapi.PATH, described),
            Endpoint(docs.PATH, shown_to_people),
        ],
        exception_handlers={
            Problem: refuse,
            HTTPException: functools.partial(refuse_path, access=access),
            Exception: fail,
        },
    )
    app.router.redirect_slashes = False
    return app


def with_key(settings: Settings, access: Access) -> frozenset[str]:
    """Tags of the operations that take a key here."""
    managing = frozenset(route.path.split("/")[2] for route in ROUTES) if access.guarded else frozenset()
    return managing | (frozenset() if settings.api_keys is None else {"event"})


async def refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def refuse_path(request: Request, error: Exception, access: Access) -> Response:
    """404 and 405, for those who may know."""
    assert isinstance(error, HTTPException)
    try:
        access.check(request)
    except Problem as problem:
        return problem.response()
    path = shown(request.scope["path"])
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        detail = f"{path} takes {allowed} only, not {shown(request.method)}."
        return Problem("method-not-allowed", detail, {"Allow": allowed}).response()
    return Problem("not-found", f"There is nothing at {path}; {docs.PATH} shows what there is.").response()


async def fail(_request: Request, _error: Exception) -> Response:
    """A fault of ours. uvicorn logs it."""
    detail = "This could not be answered because of an error in the program, which is logged."
    return Problem("internal", detail).response()
