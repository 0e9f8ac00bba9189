"""By which scheme one asked, where a proxy that speaks HTTPS stands before this server."""

from starlette.requests import Request

NAMED = (["http"], ["https"])


def scheme(request: Request) -> str:
    """As a proxy says it, of whom nobody knows whether it is one: for what is shown and for `Secure`, never for who is
    let in."""
    said = request.headers.getlist("x-forwarded-proto")
    return said[0] if said in NAMED else str(request.scope["scheme"])
