"""The form that asks for the token, and the session that is made from it."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import answer
from .access import (
    FORM_COOKIE,
    PATH,
    SESSION_COOKIE,
    SESSION_SECONDS,
    Guard,
    check_origin,
    form_key_of,
    is_secure,
    set_cookie,
)
from .form import form_of, then_of
from .templating import render
from .visit import link

STRANGERS_BYTES_MAX = 16_384
"""Of a form that anyone may send, before it is known who does."""
REFUSED_SECONDS = 0.5
"""What a wrong token takes, one at a time: guessing gets nowhere."""


def routes(guard: Guard) -> list[Route]:
    """The form and what becomes of it."""
    guessing = asyncio.Lock()

    async def show(request: Request) -> Response:
        return form(request, then_of(request.query_params.get("then", "")))

    async def enter(request: Request) -> Response:
        given = await form_of(request, STRANGERS_BYTES_MAX)
        then = then_of(given.get("then", ""))
        check_origin(request, given.get("form_key", ""))
        session = guard.open_session(given.get("token", "").strip())
        if session is None:
            async with guessing:
                await asyncio.sleep(REFUSED_SECONDS)
            return form(request, then, "This is neither what V7_ADMIN_TOKEN is set to nor a key that may read.", 401)
        response = answer.moved(then)
        secure = is_secure(request)
        set_cookie(response, SESSION_COOKIE, session, secure=secure, seconds=SESSION_SECONDS)
        return response

    async def leave(request: Request) -> Response:
        check_origin(request, (await form_of(request, STRANGERS_BYTES_MAX)).get("form_key", ""))
        response = answer.moved(PATH)
        response.delete_cookie(SESSION_COOKIE, path=PATH, httponly=True, samesite="strict")
        return response

    return [
        Route(f"{PATH}/login", show),
        Route(f"{PATH}/login", enter, methods=["POST"]),
        Route(f"{PATH}/logout", leave, methods=["POST"]),
    ]


def form(request: Request, then: str, says: str = "", status: int = 200) -> Response:
    key = form_key_of(request)
    shown = {"title": "Who are you?", "form_key": key, "then": then, "says": says}
    response = answer.html(render("login", shown, None, here=""), status)
    set_cookie(response, FORM_COOKIE, key, secure=is_secure(request))
    return response


async def ask(request: Request, _error: Exception) -> Response:
    """To the form, and back from there."""
    query = f"?{request.query_params}" if request.query_params else ""
    address = link(f"{PATH}/login", then=request.scope["path"] + query if request.method == "GET" else PATH)
    if "hx-request" not in request.headers:
        return answer.moved(address)
    response = answer.html("", 401)  # htmx would put the form into the page
    response.headers["HX-Redirect"] = address
    return response
