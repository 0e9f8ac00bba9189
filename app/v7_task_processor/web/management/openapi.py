"""`/openapi.json`: OpenAPI 3.1, from the table of routes and the types of what they take and answer."""

from typing import Any

import msgspec

from ... import __version__
from ..problem import MEDIA_TYPE, TITLES, ProblemDocument
from . import intake
from .call import Nothing, Route
from .meanings import PARAMETERS, explain
from .operations import Many
from .table import ROUTES

PATH = "/openapi.json"
REF = "#/components/schemas/{name}"
ALWAYS = ("bad-request", "unauthorized", "forbidden", "internal", "unavailable")
ONE = ("not-found",)
WITH_BODY = ("too-large", "unsupported-media-type")
DESCRIPTION = """\
Send an event, and a handler of yours runs it: best `priority` first, tried again when it fails, kept as a dead letter \
when it fails for good. Each event is a **job**, with one id for ever.

A job is `scheduled` until its time, `queued` until a worker takes it, `running` while its handler does, and ends \
`succeeded`, `cancelled` or `dead`. A failure adds one to `retry_count` and puts it back, `scheduled` after 1, 2, 4 … \
seconds; at `max_retries` (5) it is `dead`, and stays until you act: `retry` and `redrive` queue it again, `cancel` \
ends it. Succeeded and cancelled jobs are kept for seven days.

All bodies are JSON in UTF-8. An id, a priority or a type is any integer of 64 bits: read them with a parser that \
keeps them whole. Times are ISO 8601 in UTC. Lists go by pages: while `next_after` is not null, give it as `after`. \
What is refused by `POST /api/event/v1` is a plain sentence; everything else answers `application/problem+json`, \
whose `detail` is the sentence. 503 has a `Retry-After`, in seconds.

A key goes with a request as `Authorization: Bearer <key>`, or as `X-API-Key: <key>`. Where V7_API_KEYS is set, \
sending takes a key that may send. Where a key may read or manage, or V7_ADMIN_TOKEN is set, a GET takes one that may \
read, and every other act one that may manage. Where there is none, only programs on the same machine may manage."""
HOW = "A key of V7_API_KEYS, or V7_ADMIN_TOKEN, which may everything."
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": HOW},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": HOW},
}


def document() -> dict[str, Any]:
    """The whole document, as JSON has it."""
    kinds = [kind for route in ROUTES for kind in (route.answer, route.body) if kind not in (None, Nothing)]
    kinds.append(ProblemDocument)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
    for kind in kinds_of_bodies():
        schemas[kind.__name__]["additionalProperties"] = False
        for schema in schemas[kind.__name__]["properties"].values():
            without_null(schema)
    schemas |= intake.schemas()
    explain(schemas)
    paths: dict[str, dict[str, Any]] = intake.paths()
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "v7 task processor", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [*({name: []} for name in SCHEMES), {}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": SCHEMES},
    }


def operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"Needs a key that may {'read' if route.method == 'GET' else 'manage'}, where there is one.",
        "tags": [route.path.split("/")[2]],
        "parameters": [*path_parameters(route), *query_parameters(route)],
        "responses": {"200": answered("Done.", "application/json", reference(route.answer), route.answers)},
    }
    for status, kinds in sorted(problems(route).items()):
        says = "; ".join(TITLES[kind][1] for kind in kinds)
        made["responses"][str(status)] = answered(f"{says}.", MEDIA_TYPE, reference(ProblemDocument), None)
    if route.body is not None:
        content = {"schema": body_schema(route.body), "example": route.asks}
        # Which jobs are meant has to be said, though each single field of it may be left out.
        required = issubclass(route.body, Many) or any(field.required for field in msgspec.structs.fields(route.body))
        made["requestBody"] = {"required": required, "content": {"application/json": content}}
    return made


def problems(route: Route) -> dict[int, list[str]]:
    """Kinds of problem that it may answer, by status."""
    found: dict[int, list[str]] = {}
    of_path = ONE if "{id}" in route.path else ()
    for kind in dict.fromkeys((*ALWAYS, *of_path, *route.problems, *(WITH_BODY if route.body is not None else ()))):
        found.setdefault(TITLES[kind][0], []).append(kind)
    return found


def path_parameters(route: Route) -> list[dict[str, Any]]:
    if "{id}" not in route.path:
        return []
    schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    example = route.answers.get("id", route.answers.get("event_type_id", 5))
    return [
        {
            "name": "id",
            "in": "path",
            "required": True,
            "description": PARAMETERS["id"],
            "schema": schema,
            "example": example,
        }
    ]


def query_parameters(route: Route) -> list[dict[str, Any]]:
    _, schemas = msgspec.json.schema_components([route.query], ref_template=REF)
    properties = schemas[route.query.__name__]["properties"]
    examples = {} if route.body is not None else route.asks or {}
    made = []
    for name, schema in properties.items():
        without_null(schema)
        parameter = {"name": name, "in": "query", "required": False, "schema": schema}
        parameter["description"] = schema.pop("description", None) or PARAMETERS.get(name, "")
        made.append(parameter | ({"example": examples[name]} if name in examples else {}))
    return made


def without_null(schema: dict[str, Any]) -> None:
    """null is a default of ours, and no value that one could send; where there is none, it is one."""
    if "default" not in schema:
        return
    for each in schema.pop("anyOf", []):
        schema |= each if each != {"type": "null"} else {}
    if schema.get("default", 0) is None:
        del schema["default"]


def kinds_of_bodies() -> set[type[msgspec.Struct]]:
    return {route.body for route in ROUTES if route.body is not None} - {Nothing}


def body_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"type": "object", "maxProperties": 0} if kind is Nothing else reference(kind)


def reference(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": REF.format(name=kind.__name__)}


def answered(says: str, media_type: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {"description": says, "content": {media_type: content}}
