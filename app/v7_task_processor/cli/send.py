"""`v7 send`: one event, over HTTP, as any other client would send it."""

import http.client
import sys
from urllib.parse import SplitResult, urlsplit

import click
import msgspec

from ..errors import V7Error
from ..settings import Settings
from .banner import reachable
from .options import examples, json_option, settings_options
from .output import document
from .text import plain

PATH = "/api/event/v1"
TIMEOUT_SECONDS = 60
ANSWER_BYTES_MAX = 65536


@click.command(
    epilog=examples(
        "v7 send --type 5 --user 1 '{\"a\": 1}'",
        "v7 send --type 5 --user 1 --priority -10 --count 100 null",
        "jq .order event.json | v7 send --type 6 --user 7 --url https://events.example -",
    )
)
@click.option("--type", "event_type_id", type=int, required=True, metavar="NUMBER", help="The event's type.")
@click.option("--user", "user_id", type=int, required=True, metavar="NUMBER", help="Whose event it is.")
@click.option("--priority", type=int, default=0, show_default=True, metavar="NUMBER", help="The lower, the sooner.")
@click.option("--count", type=click.IntRange(1), default=1, metavar="NUMBER", help="Send it so many times.")
@click.option("--url", metavar="URL", help="Where to, instead of --host and --port.")
@click.option("--idempotency-key", metavar="TEXT", help="Makes it safe to send the same again.")
@json_option
@click.argument("event_data", metavar="JSON|-")
@settings_options("host", "port", host="The server's host.", port="The server's port.")
def send(
    settings: Settings,
    event_type_id: int,
    user_id: int,
    priority: int,
    count: int,
    url: str | None,
    idempotency_key: str | None,
    as_json: bool,
    event_data: str,
) -> None:
    """Send an event with JSON as its event_data (- reads it from stdin); print its id."""
    fields = {"user_id": user_id, "priority": priority, "event_type_id": event_type_id}
    body = msgspec.json.encode({**fields, "event_data": raw(event_data)})
    headers = {"Content-Type": "application/json"}
    if settings.keys:
        headers["Authorization"] = f"Bearer {settings.keys[0]}"
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    base = split(url or reachable(f"http://{settings.host}:{settings.port}"))
    ids = []
    connection = connected(base)
    try:
        for _ in range(count):
            ids.append(post(connection, base, body, headers))
            if not as_json:
                click.echo(ids[-1])
    finally:
        connection.close()
    if as_json:
        document({"ids": ids})


def raw(text: str) -> msgspec.Raw:
    """The text as it is, if it is one JSON value: another would end up among the fields beside it."""
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    try:
        return msgspec.json.decode(text.encode("utf-8", "surrogateescape"), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError) as error:
        hint = "" if text[:1] in '{["' else " A text needs quotes of its own: '\"text\"'."
        raise click.UsageError(f"event_data is not JSON: {error}.{hint}") from None


def split(url: str) -> SplitResult:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.BadParameter(f"{url!r} is not like http://host:port.", param_hint="--url")
    return parts


def connected(base: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection
    return kind(base.hostname or "", base.port, timeout=TIMEOUT_SECONDS)


def post(connection: http.client.HTTPConnection, base: SplitResult, body: bytes, headers: dict[str, str]) -> int:
    """The id that the server answered. Raises V7Error with what it said instead, or that nobody answered."""
    path = base.path.rstrip("/")
    try:
        connection.request("POST", path if path.endswith(PATH) else path + PATH, body, headers)
        response = connection.getresponse()
        answer = response.read(ANSWER_BYTES_MAX)
        response.read()
    except (OSError, http.client.HTTPException) as error:
        where = f"{base.scheme}://{base.netloc}"
        raise V7Error(f"No answer from {where}: {error}. Is `v7 run` running there?") from None
    if response.status != http.client.OK:
        said = plain(answer.decode("utf-8", "replace").strip()) or response.reason
        raise V7Error(f"{said} (HTTP {response.status})")
    return int(msgspec.json.decode(answer)["id"])
