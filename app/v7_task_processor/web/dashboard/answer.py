"""What stands in the head of every answer, and files."""

import mimetypes

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from .templating import DIGESTS, STATIC, digest
from .visit import missing

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send forms from the origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def html(text: str, status: int = 200) -> Response:
    return Response(text.encode("utf-8", "replace"), status, {**HEADERS, "Vary": "HX-Request"}, "text/html")


def raw(text: str) -> Response:
    """Somebody's text as it is, of which a browser makes nothing."""
    headers = {**HEADERS, "Content-Security-Policy": "sandbox; default-src 'none'"}
    return Response(text.encode("utf-8", "backslashreplace"), 200, headers, "text/plain")


async def static(request: Request) -> Response:
    """A file of `static/`. Under the address that changes with it it may be kept for ever; by another digest the page
    of another release asks for what is not here, and nobody may keep this as that."""
    name = request.path_params["name"]
    if name not in DIGESTS:
        raise missing(f"There is no file {name}.")
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    is_meant = request.scope["query_string"] == digest(name).encode()
    headers = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"} if is_meant else HEADERS
    return FileResponse(STATIC / name, headers=headers, media_type=kind)


def moved(address: str) -> Response:
    """To another page, by GET."""
    return Response(b"", 303, {**HEADERS, "Location": address})
