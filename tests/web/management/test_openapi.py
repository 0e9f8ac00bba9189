"""The OpenAPI document: sound in itself, complete, and true of what the running server answers."""

import json
import re
from typing import Any

import pytest

from v7_task_processor.web.management import intake
from v7_task_processor.web.management.table import ROUTES

from ...population import KEYS
from ..support import ApiProcess
from .jsonschema import conforms
from .support import PROBLEM, answer, post, problem

OPERATIONS = [(route.path, route.method.lower()) for route in ROUTES]

ELSEWHERE = [(path, method) for path, methods in intake.paths().items() for method in methods]


@pytest.fixture
def document(api: ApiProcess) -> Any:
    return answer(api.client.get("/openapi.json"))


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for child in value.values() for each in references(child)]
    return [each for child in value for each in references(child)] if isinstance(value, list) else []


def test_the_document_is_sound(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert set(document["info"]) >= {"title", "version"}
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    for path, methods in document["paths"].items():
        for method, each in methods.items():
            in_path = {parameter["name"] for parameter in each["parameters"] if parameter["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path))
            assert all(set(parameter) >= {"name", "in", "schema"} for parameter in each["parameters"])
            assert all(parameter["description"] for parameter in each["parameters"])
            assert all(set(response) >= {"description", "content"} for response in each["responses"].values())
            assert ("requestBody" in each) == (method == "post")
            assert each["summary"].endswith(".")


def test_every_route_is_in_it_and_nothing_else(document: Any, populated: ApiProcess) -> None:
    found = [(path, method) for path, methods in document["paths"].items() for method in methods]
    assert found == ELSEWHERE + OPERATIONS
    for path, method in OPERATIONS:
        wrong = populated.client.request("put", path.replace("{id}", "1"))
        assert method.upper() in wrong.headers["allow"]


@pytest.mark.parametrize(("path", "method"), ELSEWHERE + OPERATIONS)
def test_its_examples_fit_its_schemas(document: Any, path: str, method: str) -> None:
    operation = document["paths"][path][method]
    (content,) = operation["responses"]["200"]["content"].values()
    if "example" in content:
        conforms(document, content["schema"], content["example"])
    for parameter in operation["parameters"]:
        if "example" in parameter:
            conforms(document, parameter["schema"], parameter["example"])
    if "requestBody" in operation:
        for asked in operation["requestBody"]["content"].values():
            conforms(document, asked["schema"], asked["example"])


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_is_answered_fits_its_schemas(document: Any, populated: ApiProcess, path: str, method: str) -> None:
    """What the examples ask, of jobs in every state."""
    operation = document["paths"][path][method]
    asked = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    in_query = [each for each in operation["parameters"] if each["in"] == "query" and "example" in each]
    query = {each["name"]: each["example"] for each in in_query}
    statuses = set()
    for number in [*KEYS.values(), 999] if "{id}" in path else [0]:
        url = path.replace("{id}", str(number))
        response = populated.client.request(method, url, params=query, json=asked)
        statuses.add(response.status_code)
        described = operation["responses"][str(response.status_code)]["content"]
        media_type = response.headers["content-type"]
        assert media_type == ("application/json" if response.status_code == 200 else PROBLEM)
        conforms(document, described[media_type]["schema"], response.json())
    assert 200 in statuses


@pytest.mark.parametrize("path", [path for path, method in OPERATIONS if method == "post"])
def test_a_body_is_required_where_nothing_is_done_without_one(document: Any, populated: ApiProcess, path: str) -> None:
    response = populated.client.post(path.replace("{id}", "999"))
    assert document["paths"][path]["post"]["requestBody"]["required"] == (response.status_code == 400)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("JobRow", "created_at"),
        ("Overview", "now"),
        ("Filter", "created_from"),
        ("Filter", "finished_until"),
        ("Why", "since"),
        ("Why", "until"),
        ("ActRow", "at"),
        ("Minute", "minute"),
    ],
)
def test_a_time_is_described_as_one(document: Any, name: str, field: str) -> None:
    schema = document["components"]["schemas"][name]["properties"][field]
    assert "date-time" in [each.get("format") for each in schema.get("anyOf", [schema])]


@pytest.mark.parametrize(
    ("name", "field", "says"),
    [
        ("ProblemDocument", "status", "The status of the answer."),
        ("Minute", "dead", "Jobs that failed for good: dead letters."),
        ("Filter", "error", "Part of the last error, in small or large letters."),
        ("ManyOf", "status", "Where the job stands."),
        ("ManyOf", "priority", "The one that they get."),
        ("Matching", "at_least", "True: more were there than were looked at."),
    ],
)
def test_a_field_says_what_it_is_in_its_own_type(document: Any, name: str, field: str, says: str) -> None:
    assert document["components"]["schemas"][name]["properties"][field]["description"] == says


@pytest.mark.parametrize(("path", "method"), ELSEWHERE)
def test_what_is_no_management_answers_as_it_says(document: Any, api: ApiProcess, path: str, method: str) -> None:
    operation = document["paths"][path][method]
    asked = operation.get("requestBody", {}).get("content", {"": {}})
    for media_type, content in asked.items():
        example = content.get("example", "")
        sent = example if isinstance(example, str) else json.dumps(example)
        for text, status in ((sent, 200), ("x", 400)) if media_type else (("", 200),):
            response = api.client.request(method, path, content=text, headers={"content-type": media_type})
            assert response.status_code == status, response.text
            ((kind, described),) = operation["responses"][str(status)]["content"].items()
            assert response.headers["content-type"].startswith(kind)
            value = response.text if kind == "text/plain" else response.json()
            conforms(document, described["schema"], value)


def test_a_fault_and_a_refusal_fit_it_too(document: Any, populated: ApiProcess) -> None:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    for response, status in (
        (populated.client.get("/api/jobs/v1?x=1"), 400),
        (populated.client.get("/api/jobs/v1", headers={"host": "x"}), 403),
        (post(populated, "/api/jobs/v1/1/priority", " " * (2**20 + 1)), 413),
    ):
        problem(response, status)
        conforms(document, schema, response.json())


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, "1"),
        ({"type": "integer"}, True),
        ({"type": "integer", "maximum": 1}, 2),
        ({"type": "object", "properties": {"a": {}}, "required": ["a"]}, {}),
        ({"type": "object", "properties": {}, "required": []}, {"b": 1}),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, 1),
        ({"type": "array", "items": {"type": "string"}}, [1]),
        ({"enum": ["a"]}, "b"),
        ({"type": "string", "format": "date-time"}, "yesterday"),
    ],
)
def test_the_check_can_fail(schema: Any, value: Any) -> None:
    with pytest.raises(AssertionError):
        conforms({}, schema, value)
