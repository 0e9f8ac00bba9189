"""`/docs`: all of the OpenAPI document, from this host alone, and safe to copy from."""

import base64
import hashlib
import re
import subprocess
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from v7_task_processor.web.management import docs, openapi

from ...population import KEYS
from ..support import ApiProcess, process
from .support import answer

NO_CONTENT = {"meta", "wbr"}


class Page(HTMLParser):
    """What stands in a page: its tags, ids, links and texts. It must be well nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in NO_CONTENT:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[str]:
        return [value or "" for each, value in self.attributes if each == name]


@pytest.fixture
def text(api: ApiProcess) -> str:
    response = api.client.get("/docs")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return response.text


def commands(text: str) -> list[str]:
    return [unescape(each) for each in re.findall(r"<pre><code>(curl .*?)</code></pre>", text, re.DOTALL)]


def test_it_needs_no_script_and_no_other_host(api: ApiProcess, text: str) -> None:
    page = Page(text)
    assert not page.tags & {"script", "link", "img", "iframe", "form", "object", "base"}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("style", "src")]
    assert {link for link in page.all("href") if not link.startswith("#")} == {"/openapi.json"}
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = api.client.get("/docs").headers["content-security-policy"]
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in policy
    assert "url(" not in style


def test_it_shows_every_operation_parameter_field_and_status(api: ApiProcess, text: str) -> None:
    document = answer(api.client.get("/openapi.json"))
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', text, re.DOTALL))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            section = sections.pop(operation["operationId"])
            assert f'<b class="{method}">' in section
            assert path in re.sub("<[^>]+>", "", section)
            for parameter in operation["parameters"]:
                assert f"<dt><code>{parameter['name']}</code>" in section
            for status in operation["responses"]:
                assert f"<h3>{status} " in section
    assert sections == {}
    for name, schema in document["components"]["schemas"].items():
        found = text.split(f'<h3 id="type-{name}">')[1].split("</dl>")[0]
        for field, each in schema["properties"].items():
            assert f"<dt><code>{field}</code>" in found
            assert each.get("description"), f"{name}.{field} says nothing"
    links = {link.removeprefix("#") for link in Page(text).all("href") if link.startswith("#")}
    assert links <= set(Page(text).all("id"))


def test_every_command_on_it_can_be_copied(populated: ApiProcess, text: str) -> None:
    found = commands(text)
    operations = [each for path in openapi.document()["paths"].values() for each in path.values()]
    assert len(found) == len(operations)
    for command in found:
        typed = command.replace("curl ", "curl --silent --output /dev/null --write-out '%{http_code}' ", 1)
        typed = re.sub(r"(/jobs/v1/)\d+(/reschedule)", rf"\g<1>{KEYS['queued']}\2", typed)
        typed = re.sub(r"(/jobs/v1/)\d+(/(retry|priority))", rf"\g<1>{KEYS['scheduled']}\2", typed)
        typed = re.sub(r"(/jobs/v1/)\d+(/redrive)", rf"\g<1>{KEYS['hostile']}\2", typed)
        done = subprocess.run(["bash", "-ec", typed], capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout == "200", command


def test_it_shows_where_a_key_goes(shared_database_url: str, database_url: str, text: str) -> None:
    assert "$V7_KEY" not in text
    for settings, path, shown in (
        ({"api_keys": "s3cret"}, "/api/event/v1", True),
        ({"api_keys": "s3cret"}, "/api/jobs/v1", False),
        ({"admin_token": "s3cret"}, "/api/event/v1", False),
        ({"admin_token": "s3cret"}, "/api/jobs/v1", True),
    ):
        with process(shared_database_url, **settings) as api:
            guarded = api.client.get("/docs").text
        assert "s3cret" not in guarded
        of_path = [each for each in commands(guarded) if f"{path}" in each]
        assert of_path
        assert all(('-H "Authorization: Bearer $V7_KEY"' in each) is shown for each in of_path)


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("v7.example", "http://v7.example/"),
        ("v7.example:4000", "http://v7.example:4000/"),
        ("[::1]:4000", "http://[::1]:4000/"),
        ("127.0.0.1", "http://127.0.0.1/"),
        ("<script>", docs.ELSEWHERE),
        ("x;reboot", docs.ELSEWHERE),
        ("x'$(reboot)", docs.ELSEWHERE),
        ("x/..", docs.ELSEWHERE),
        ("", docs.ELSEWHERE),
    ],
)
def test_the_name_in_its_commands_is_that_by_which_it_was_asked(api: ApiProcess, host: str, shown: str) -> None:
    text = api.client.get("/docs", headers={"host": host}).text
    assert f"curl {shown}" in text or f"curl '{shown}" in text
    assert host not in text or shown != docs.ELSEWHERE or not host


def test_what_a_document_says_is_text() -> None:
    hostile = "</style><script>alert(1)</script>`<b>`&"
    document: dict[str, Any] = {
        "openapi": hostile,
        "info": {"title": hostile, "version": hostile, "description": hostile},
        "paths": {
            "/" + "<i>": {
                "get": {
                    "operationId": '"><i>',
                    "summary": hostile,
                    "description": hostile,
                    "tags": ["x"],
                    "parameters": [{"name": hostile, "in": "query", "required": True, "schema": {"enum": [hostile]}}],
                    "responses": {"200": {"description": hostile, "content": {hostile: {"schema": {"type": hostile}}}}},
                }
            }
        },
        "components": {"schemas": {hostile: {"description": hostile, "properties": {hostile: {"$ref": hostile}}}}},
    }
    page = Page(docs.page(document, frozenset()))
    assert not page.tags & {"script", "b.x", "i"}
    assert page.tags >= {"section", "dl"}
