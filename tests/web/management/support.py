"""Answers and problems."""

from typing import Any

import httpx

from ..support import ApiProcess

PROBLEM = "application/problem+json"


def answer(response: httpx.Response) -> Any:
    """What a request that was right is answered."""
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json"), response.text
    return response.json()


def problem(response: httpx.Response, status: int) -> str:
    """The detail of a problem."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM), response.text
    document = response.json()
    assert list(document) == ["type", "title", "status", "detail"]
    assert document["type"].startswith("urn:v7:problem:")
    assert document["status"] == status
    return str(document["detail"])


def post(api: ApiProcess, path: str, content: str | None = None) -> httpx.Response:
    return api.client.post(path, content=content)
