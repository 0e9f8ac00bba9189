"""`/openapi.json`: OpenAPI 3.1, from the table of routes and the types of what it takes and answers."""

from typing import Any

import msgspec

from ... import __version__
from .call import Nothing, Route
from .problem import MEDIA_TYPE, TITLES, ProblemDocument
from .table import ROUTES

PATH = "/openapi.json"
REF = "#/components/schemas/{name}"
ALWAYS = ("bad-request", "unauthorized", "forbidden", "internal", "unavailable")
WITH_BODY = ("too-large", "unsupported-media-type")
DESCRIPTION = """\
What waits, runs and died, and what people do about it. `POST /api/event/v1`, which takes events in, has a contract of
its own. Where V7_ADMIN_TOKEN is set it is needed; where it is not, only programs on the same machine may ask."""


def document() -> dict[str, Any]:
    """The whole document, as JSON has it."""
    kinds = [kind for route in ROUTES for kind in (route.answer, route.body) if kind not in (None, Nothing)]
    kinds.append(ProblemDocument)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "v7 task processor: management", "version": __version__, "description": DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "V7_ADMIN_TOKEN"}},
        },
    }


def operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.path.split("/")[2]],
        "parameters": [*path_parameters(route), *query_parameters(route)],
        "responses": {"200": answered("Done.", "application/json", reference(route.answer), route.answers)},
    }
    for status, kinds in sorted(problems(route).items()):
        says = "; ".join(TITLES[kind][1] for kind in kinds)
        made["responses"][str(status)] = answered(f"{says}.", MEDIA_TYPE, reference(ProblemDocument), None)
    if route.body is not None:
        content = {"schema": body_schema(route.body), "example": route.asks}
        required = any(field.required for field in msgspec.structs.fields(route.body))
        made["requestBody"] = {"required": required, "content": {"application/json": content}}
    return made


def problems(route: Route) -> dict[int, list[str]]:
    """Kinds of problem that it may answer, by status."""
    found: dict[int, list[str]] = {}
    for kind in (*ALWAYS, *route.problems, *(WITH_BODY if route.body is not None else ())):
        found.setdefault(TITLES[kind][0], []).append(kind)
    return found


def path_parameters(route: Route) -> list[dict[str, Any]]:
    if "{id}" not in route.path:
        return []
    schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    return [{"name": "id", "in": "path", "required": True, "schema": schema, "example": route.answers.get("id", 5)}]


def query_parameters(route: Route) -> list[dict[str, Any]]:
    _, schemas = msgspec.json.schema_components([route.query], ref_template=REF)
    properties = schemas[route.query.__name__]["properties"]
    examples = {} if route.body is not None else route.asks or {}
    made = []
    for name, schema in properties.items():
        # null is a default of ours, and no value that one could send.
        [schema] = [each for each in schema.pop("anyOf", [schema]) if each != {"type": "null"}] or [schema]
        if schema.get("default", 0) is None:
            del schema["default"]
        parameter = {"name": name, "in": "query", "required": False, "schema": schema}
        made.append(parameter | ({"example": examples[name]} if name in examples else {}))
    return made


def body_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"type": "object", "maxProperties": 0} if kind is Nothing else reference(kind)


def reference(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": REF.format(name=kind.__name__)}


def answered(says: str, media_type: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
    content = {"schema": schema} | ({} if example is None else {"example": example})
    return {"description": says, "content": {media_type: content}}
