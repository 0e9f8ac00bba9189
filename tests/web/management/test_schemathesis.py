"""Whatever fits the OpenAPI document, and much that does not, sent to a running server by schemathesis.

Each answer must be one that the document has: its status, its media type, its schema; what is right is taken, what is
wrong is refused, and nothing is a fault of the server.
"""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from v7_task_processor.web.management import openapi
from v7_task_processor.web.receive_batch import BATCH_PATH

from ..support import ApiProcess

EXAMPLES_MAX = 5


def document() -> dict[str, Any]:
    """Without what it says of batches by the line: any text fits that."""
    made = openapi.document()
    del made["paths"][BATCH_PATH]["post"]["requestBody"]["content"]["application/x-ndjson"]
    return made


SCHEMA = schemathesis.openapi.from_dict(document())


@SCHEMA.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """5.0 is an integer to JSON Schema, and none to us."""
    if isinstance(body, float) and body.is_integer():
        return int(body)
    if isinstance(body, dict):
        return {name: map_body(_context, each) for name, each in body.items()}
    return [map_body(_context, each) for each in body] if isinstance(body, list) else body


def beyond_schemas(case: schemathesis.Case[Any]) -> list[CheckFunction]:
    """Checks that do not hold, since no schema could say what we do."""
    query = case.query or {}
    if query.get("partial"):
        return [negative_data_rejection]  # what is wrong is refused line by line, in a 200
    if query.get("order") == "queue" and query.keys() & {"status", "after"}:
        return [positive_data_acceptance]  # only what is queued has a place in the queue
    if "{id}" not in case.path and case.path.startswith("/api/jobs/v1/"):
        return [positive_data_acceptance]  # `all` goes without a filter, and each act has its statuses
    if query.get("status") == "dead" and "after" in query:
        return [positive_data_acceptance]  # only a dead letter has a place among them
    return []


@SCHEMA.parametrize()
@settings(
    max_examples=EXAMPLES_MAX,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_the_server_does_as_the_document_says(populated: ApiProcess, case: schemathesis.Case[Any]) -> None:
    address = f"http://127.0.0.1:{populated.port}"
    case.call_and_validate(base_url=address, excluded_checks=beyond_schemas(case))
