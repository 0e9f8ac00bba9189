"""`v7 send`: one event, or a file of them, over HTTP, as any other client would send it."""

import sys
from collections.abc import Mapping

import click
import msgspec

from ..errors import V7Error
from ..keys import parsed
from ..settings import Settings
from ..worker.address import netloc
from .banner import reachable
from .options import NUMBER, examples, json_option, settings_options
from .output import document
from .posting import PATH, Server


@click.command(
    epilog=examples(
        "v7 send --type 5 --user 1 '{\"a\": 1}'",
        "v7 send --type 5 --user 1 --priority -10 --count 100 null",
        "jq .order event.json | v7 send --type 6 --user 7 --url https://events.example -",
        "v7 send --file events.ndjson",
    )
)
@click.option("--type", "event_type_id", type=NUMBER, metavar="NUMBER", help="The event's type.")
@click.option("--user", "user_id", type=NUMBER, metavar="NUMBER", help="Whose event it is.")
@click.option("--priority", type=NUMBER, metavar="NUMBER", help="The lower, the sooner.  [default: 0]")
@click.option("--count", type=click.IntRange(1), metavar="NUMBER", help="Send it so many times.")
@click.option(
    "--file",
    metavar="FILE|-",
    help="Send each line of this file (- is stdin): an object with user_id, priority, event_data, event_type_id.",
)
@click.option(
    "--skip", type=click.IntRange(0, 2**63 - 1), metavar="NUMBER", help="With --file: leave out so many lines."
)
@click.option("--url", metavar="URL", help="Where to, instead of --host and --port.")
@click.option("--idempotency-key", metavar="TEXT", help="Makes it safe to send the same again.")
@json_option
@click.argument("event_data", metavar="[JSON|-]", required=False)
@settings_options("host", "port", host="The server's host.", port="The server's port.")
def send(
    settings: Settings,
    event_type_id: int | None,
    user_id: int | None,
    priority: int | None,
    count: int | None,
    file: str | None,
    skip: int | None,
    url: str | None,
    idempotency_key: str | None,
    as_json: bool,
    event_data: str | None,
) -> None:
    """Send an event with JSON as its event_data (- reads it from stdin); print its id. Or send a file of events."""
    fields = {"--type": event_type_id, "--user": user_id, "--priority": priority, "--count": count, "JSON": event_data}
    address = url or reachable(f"http://{netloc(settings.host, settings.port)}")
    if file is not None:
        refuse_together("--file", fields)
        from .send_file import send_file

        with Server(address, own_key(settings, url)) as server:
            send_file(server, file, skip or 0, idempotency_key, as_json)
        return
    refuse_together("an event", {"--skip": skip})
    if idempotency_key is not None and (count or 1) > 1:
        raise click.UsageError("--count does not go with --idempotency-key: one key stands for one event.")
    require({name: fields[name] for name in ("--type", "--user", "JSON")})
    head = {"user_id": user_id, "priority": priority or 0, "event_type_id": event_type_id}
    body = msgspec.json.encode({**head, "event_data": raw(str(event_data))})
    with Server(address, own_key(settings, url)) as server:
        send_one(server, body, count or 1, idempotency_key, as_json)


def own_key(settings: Settings, url: str | None) -> str | None:
    """The first of V7_API_KEYS that may send, and is not only known by its digest; else, where keys are asked for, the
    admin token, but to no other server than the one of these settings."""
    may_send = [key.secret for key in parsed(settings.api_keys or "") if key.may("send")]
    spare = settings.admin_token if settings.api_keys and url is None else None
    return next((secret for secret in may_send if secret is not None), spare)


def refuse_together(what: str, others: Mapping[str, object]) -> None:
    """Some options have a meaning only without others."""
    for name, value in others.items():
        if value is not None:
            raise click.UsageError(f"{name} does not go with {what}.")


def require(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value is None:
            kind = "option" if name.startswith("-") else "argument"
            raise click.UsageError(f"Missing {kind} '{name}'; or send a file of events with --file.")


def send_one(server: Server, body: bytes, count: int, key: str | None, as_json: bool) -> None:
    """Send an event so many times. Raises V7Error with what the server said instead of an id."""
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = key
    ids = []
    for _ in range(count):
        answer = server.post(PATH, body, headers)
        if not answer.is_ok:
            raise V7Error(answer.said())
        ids.append(int(msgspec.json.decode(answer.body)["id"]))
        if not as_json:
            click.echo(ids[-1])
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
