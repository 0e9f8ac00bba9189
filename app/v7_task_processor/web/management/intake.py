"""What the OpenAPI document says of all that is not management: sending events, health, metrics.

Events have receivers of their own (`web/receive.py`); a single one is refused with a plain sentence, by contract.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from ..batch import EVENTS_MAX
from ..event import Wire
from ..problem import MEDIA_TYPE

EVENT = {"user_id": 7, "priority": 1, "event_data": {"hello": "world"}, "event_type_id": 5}
SENTENCE = {"type": "string"}
SEND = """\
The answer 200 comes when the event is committed, and names its job: `GET /api/jobs/v1/{id}` shows what becomes of it.
`event_data` is any JSON, up to 1 MiB where the server is not set otherwise, and is kept to the letter. A handler for
`event_type_id` runs it. Anything but a 200 is one sentence that says what is wrong. After a 500 or a 503, or no answer
at all, send it again; with an `Idempotency-Key` that adds it once, however often you do.
Needs a key that may send, where V7_API_KEYS is set."""
BATCH = """\
Up to 10,000 events in one commit: as a JSON array, or with `Content-Type: application/x-ndjson` an event a line.
All or nothing: an event that is none is named by its line, and nothing is added. With `partial=true` the others are
added, and the answer has one result for each. Needs a key that may send, where V7_API_KEYS is set."""
METRICS = "For Prometheus, of all nodes. Needs a key that may read, once there is one."
SAYS = {
    400: "It cannot be parsed; the sentence begins with Failed to parse, and names the field.",
    401: "A key is needed.",
    403: "The key may not.",
    409: "The Idempotency-Key was used for another event.",
    413: "The body is too large.",
    415: "The body is not JSON by its Content-Type.",
    500: "It could not be added, or it is not known whether it was: the sentence says which.",
    503: "Not now; Retry-After says when.",
}
KEY = "Makes sending again safe for seven days: the same key and event, the same id."
REQUEST_ID = "Becomes the job's correlation_id: 128 characters at most, printable ASCII alone. Made where it is absent."
HEADERS = [
    ("Idempotency-Key", KEY, "order-17", {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"}),
    ("X-Request-Id", REQUEST_ID, "request-1", {"type": "string"}),  # whatever comes is cleaned, and cut
]


def schemas() -> dict[str, Any]:
    """What is sent, and what the answers are."""
    _, found = msgspec.json.schema_components([Wire])
    fields = found["Wire"]["properties"]
    fields["user_id"]["description"] = "Whose event it is."
    fields["priority"]["description"] = "The lower, the sooner."
    fields["event_data"]["description"] = "Any JSON; null is a value. It is kept to the letter."
    fields["event_type_id"]["description"] = "The kind of event: it decides the handler."
    ids = {"type": "array", "items": {"type": "integer"}}
    result = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "error": SENTENCE},
        "description": "What became of one event: its job's id, or why it was not added.",
    }
    return {
        "Event": found["Wire"] | {"title": "Event", "description": "An event, as it is sent."},
        "Added": described("The event is durable, and this is its job.", {"id": {"type": "integer"}}),
        "AddedAll": described("All are durable; their jobs, in the order of the events.", {"ids": ids}),
        "Results": described("One for each event, in their order.", {"results": {"type": "array", "items": result}}),
    }


def described(says: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "description": says, "properties": properties, "required": list(properties)}


def paths() -> dict[str, Any]:
    event, lines = {"$ref": "#/components/schemas/Event"}, "\n".join([msgspec.json.encode(EVENT).decode()] * 2)
    events = {"type": "array", "items": event, "minItems": 1, "maxItems": EVENTS_MAX}
    batch = {
        "application/json": {"schema": events, "example": [EVENT, EVENT]},
        "application/x-ndjson": {"schema": {"type": "string", "description": "An event a line."}, "example": lines},
    }
    partial = {"name": "partial", "in": "query", "required": False, "schema": {"type": "boolean", "default": False}}
    partial["description"] = "Add what is right, and say of each what became of it."
    return {
        "/api/event/v1": {
            "post": sends(
                "sendEvent", "Send an event.", SEND, [], {"application/json": {"schema": event, "example": EVENT}},
                {"$ref": "#/components/schemas/Added"}, {"id": 42}, text,
            )
        },
        "/api/event/v1/batch": {
            "post": sends(
                "sendBatch", "Send many events at once.", BATCH, [partial], batch,
                {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("AddedAll", "Results")]},
                {"ids": [42, 43]}, problem,
            )
        },
        "/metrics": {"get": tells("metrics", "What Prometheus reads.", METRICS, {401: SAYS[401], 403: SAYS[403]})},
        "/livez": {"get": tells("livez", "Whether this process lives.", "200 while it does.", {})},
        "/readyz": {"get": readyz()},
    }  # fmt: skip


def sends(
    name: str, summary: str, says: str, parameters: list[Any], content: Any, answer: Any, example: Any,
    refusal: Callable[[str], dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    given = [
        {"name": header, "in": "header", "required": False, "description": why, "example": like, "schema": schema}
        for header, why, like, schema in HEADERS
    ]
    refusals = {str(status): refusal(why) for status, why in SAYS.items()}
    added = {"description": "It is durable.", "content": {"application/json": {"schema": answer, "example": example}}}
    return {
        "operationId": name,
        "summary": summary,
        "description": says,
        "tags": ["event"],
        "parameters": [*parameters, *given],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": added, **refusals},
    }


def tells(name: str, summary: str, says: str, refusals: dict[int, str]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "description": says,
        "tags": ["health"],
        "parameters": [],
        "responses": {"200": text("Text."), **{str(status): problem(why) for status, why in refusals.items()}},
    }


def readyz() -> dict[str, Any]:
    reasons = described("Why not.", {"reasons": {"type": "array", "items": SENTENCE}})
    found = tells("readyz", "Whether events can be sent here now.", "200, and what an answer of 200 is worth here.", {})
    unready = {"application/json": {"schema": reasons, "example": {"reasons": ["shutting down"]}}}
    found["responses"]["503"] = {"description": "Not now.", "content": unready}
    return found


def problem(says: str) -> dict[str, Any]:
    return {"description": says, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}}


def text(says: str) -> dict[str, Any]:
    return {"description": says, "content": {"text/plain": {"schema": SENTENCE}}}
