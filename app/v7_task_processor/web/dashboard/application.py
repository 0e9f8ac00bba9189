"""The dashboard as an ASGI application."""

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ...settings import Settings
from ..management.store import Store
from ..problem import TITLES, Problem
from . import act, answer, dead, job, jobs, login, operations, overview, types, workers
from .access import FORM_COOKIE, PATH, Guard, LoginNeeded, Visitor, is_secure, set_cookie
from .form import form_of
from .templating import render
from .visit import SAID, Page, Screen, Visit

SCREENS: list[tuple[str, Screen]] = [
    ("", overview.screen),
    ("/jobs", jobs.screen),
    ("/jobs/{id}", job.screen),
    ("/dead", dead.screen),
    ("/types", types.screen),
    ("/workers", workers.screen),
    ("/operations", operations.screen),
    ("/operations/{id}", operations.one),
    ("/act", act.screen),
]
Answers = Callable[[Visit], Awaitable[Response]]


def application(settings: Settings, store: Store) -> ASGIApp:
    """All of the dashboard."""
    guard = Guard(settings)

    def page(screen: Screen) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            visitor = guard.visitor(request)
            return shown(request, visitor, await screen(Visit(request, store, settings, visitor, guard)))

        return show

    def text(answers: Answers) -> Callable[[Request], Awaitable[Response]]:
        async def say(request: Request) -> Response:
            return await answers(Visit(request, store, settings, guard.visitor(request), guard))

        return say

    async def do(request: Request) -> Response:
        visitor = guard.visitor(request)
        form = await form_of(request)
        guard.check_form(request, visitor, form.get("form_key", ""))
        return await act.do(Visit(request, store, settings, visitor, guard), form)

    app = Starlette(
        routes=[
            *(Route(PATH + path, page(screen)) for path, screen in SCREENS),
            Route(f"{PATH}/act", do, methods=["POST"]),
            Route(f"{PATH}/jobs/{{id}}/event", text(job.event)),
            Route(f"{PATH}/jobs/{{id}}/attempts/{{attempt}}", text(job.attempt)),
            *login.routes(guard),
            Route(f"{PATH}/static/{{name}}", answer.static),
        ],
        exception_handlers={
            LoginNeeded: login.ask,
            Problem: refuse,
            HTTPException: refuse_path,
            Exception: fail,
        },
    )
    app.router.redirect_slashes = False  # it would take the Host header apart, which may be anything
    return app


def shown(request: Request, visitor: Visitor, page: Page) -> Response:
    """A page, or the part of it that changes, where htmx asks for that."""
    live = "hx-request" in request.headers
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in SAID]
    here = request.scope["path"] + (f"?{QueryParams(asked)}" if asked else "")
    context = {**page.shown, "said": act.said(request.query_params)}
    response = answer.html(render(page.template, context, visitor, here=here, live=live), page.status)
    if request.cookies.get(FORM_COOKIE) != visitor.form_key:
        set_cookie(response, FORM_COOKIE, visitor.form_key, secure=is_secure(request))
    return response


async def refuse(request: Request, error: Exception) -> Response:
    """What is not done, and why, as a page."""
    assert isinstance(error, Problem)
    status, title = TITLES[error.kind]
    response = answer.html(render("problem", {"title": title, "detail": error.detail}, None, here=""), status)
    response.headers.update({name: value for name, value in error.headers.items() if name == "Retry-After"})
    return response


async def refuse_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.scope["path"] == f"{PATH}/":
        return answer.moved(PATH)
    shown = {"title": "There is no such page", "detail": "The links above lead to those that there are."}
    return answer.html(render("problem", shown, None, here=""), error.status_code)


async def fail(request: Request, _error: Exception) -> Response:
    """A fault of ours. uvicorn logs it."""
    detail = "This could not be answered because of an error in the program, which is logged."
    return answer.html(render("problem", {"title": "An error in the program", "detail": detail}, None, here=""), 500)
