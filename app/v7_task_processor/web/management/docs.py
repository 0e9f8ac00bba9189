"""`/docs`: the OpenAPI document as a page. It needs no script, no other file and no other host."""

import base64
import hashlib
import json
import re
import shlex
from html import escape
from typing import Any
from urllib.parse import urlencode

from .docs_style import STYLE

PATH = "/docs"
STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{STYLE_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
ELSEWHERE = "http://localhost:4000"
"""Where the page says that the server is, until it knows by which name it was asked."""
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title} <small>{version}</small></h1>{description}
<p>For programs: <a href="/openapi.json">openapi.json</a>, OpenAPI {openapi}.</p></header>
<nav aria-label="Contents">{contents}</nav>
<main>{operations}<h2 id="types">Types</h2>{types}</main>
</body>
</html>
"""


def page(document: dict[str, Any], guarded: frozenset[str]) -> str:
    """The page. Operations with these tags are shown with a key."""
    operations = [
        (path, method, found) for path, methods in document["paths"].items() for method, found in methods.items()
    ]
    schemas = document["components"]["schemas"]
    return TEMPLATE.format(
        style=STYLE,
        title=escape(document["info"]["title"]),
        version=escape(document["info"]["version"]),
        openapi=escape(document["openapi"]),
        description=prose(document["info"]["description"]),
        contents=contents(operations),
        operations="".join(operation(path, method, found, guarded, schemas) for path, method, found in operations),
        types="".join(defined(name, schema) for name, schema in schemas.items()),
    )


def served_at(scheme: str, host: str, text: str) -> str:
    """The page with the name by which it was asked in its commands, if it is the name of a host: it is copied."""
    return text.replace(ELSEWHERE, f"{scheme}://{host}") if HOST.fullmatch(host) else text


def prose(text: str) -> str:
    """Paragraphs, `code` and **strong** words."""
    shown = escape(text)
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", shown)
    shown = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", shown)
    return "".join(f"<p>{part}</p>" for part in shown.split("\n\n") if part.strip())


def contents(operations: list[tuple[str, str, Any]]) -> str:
    items = []
    for path, method, found in operations:
        link = f'<a href="#{escape(found["operationId"])}">{verb(method)} <code>{breakable(path)}</code></a>'
        items.append(f"<li>{link} {escape(found['summary'])}</li>")
    return f'<ul>{"".join(items)}<li><a href="#types">Types</a> of what is sent and answered.</li></ul>'


def verb(method: str) -> str:
    return f'<b class="{escape(method)}">{escape(method.upper())}</b>'


def breakable(path: str) -> str:
    """A path that may be broken at its slashes."""
    return escape(path).replace("/", "/<wbr>")


def operation(path: str, method: str, found: Any, guarded: frozenset[str], schemas: dict[str, Any]) -> str:
    parts = [
        f'<section id="{escape(found["operationId"])}">',
        f"<h2>{verb(method)} <code>{breakable(path)}</code></h2>",
        f"<p><strong>{escape(found['summary'])}</strong></p>{prose(found['description'])}",
    ]
    for place, title in {"path": "In the path", "query": "Parameters", "header": "Headers"}.items():
        listed = [each for each in found["parameters"] if each["in"] == place]
        if listed:
            parts.append(f"<h3>{title}</h3><dl>{''.join(map(parameter, listed))}</dl>")
    for media_type, content in found.get("requestBody", {}).get("content", {}).items():
        need = "" if found["requestBody"]["required"] else ", which may be left out"
        parts.append(f"<h3>Body <small>{escape(media_type)}{need}</small></h3>{body(content, schemas)}")
    parts.append(f"<h3>For example</h3>{code(curl(path, method, found, bool(guarded & set(found['tags']))))}")
    parts += [answer(status, each) for status, each in found["responses"].items() if status.startswith("2")]
    refusals = [answer(status, each) for status, each in found["responses"].items() if not status.startswith("2")]
    if refusals:
        parts.append(f"<details><summary>What may go wrong</summary>{''.join(refusals)}</details>")
    return "".join([*parts, "</section>"])


def parameter(found: Any) -> str:
    default = found["schema"].get("default")
    more = "" if default is None else f" Without it: <code>{escape(json.dumps(default))}</code>."
    return term(found["name"], found["schema"], found["required"], found.get("description", ""), more)


def term(name: str, schema: Any, required: bool, says: str, more: str = "") -> str:
    kind = f"<small>{shape(schema)}{', required' if required else ''}</small>"
    return f"<dt><code>{escape(name)}</code> {kind}</dt><dd>{inline(says)}{more}</dd>"


def inline(says: str) -> str:
    return prose(says).removeprefix("<p>").removesuffix("</p>")


def body(content: Any, schemas: dict[str, Any]) -> str:
    schema = content["schema"]
    if schema.get("maxProperties") == 0:
        return "<p>Nothing, or <code>{}</code>.</p>"
    if "$ref" not in schema:
        return f"<p>{inline(schema.get('description', ''))} {shape(schema)}</p>"
    return f"<p>{shape(schema)}, a JSON object:</p>{fields(schemas[schema['$ref'].rsplit('/', 1)[1]])}"


def answer(status: str, found: Any) -> str:
    parts = [f"<h3>{escape(status)} <small>{inline(found['description'])}</small></h3>"]
    for media_type, content in found["content"].items():
        parts.append(f"<p>{shape(content['schema'])} <small>{escape(media_type)}</small></p>")
        if "example" in content:
            parts.append(code(json.dumps(content["example"], indent=2, ensure_ascii=False)))
    return "".join(parts)


def code(text: str) -> str:
    return f"<pre><code>{escape(text)}</code></pre>"


def curl(path: str, method: str, found: Any, with_key: bool) -> str:
    """A command that can be copied."""
    given: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for each in found["parameters"]:
        given[each["in"]] |= {each["name"]: each["example"]} if "example" in each else {}
    url = ELSEWHERE + path.format(**given["path"]) + (f"?{urlencode(given['query'])}" if given["query"] else "")
    words = [f"curl {shlex.quote(url)}"]
    if with_key:
        words.append('-H "Authorization: Bearer $V7_KEY"')
    content = found.get("requestBody", {}).get("content", {})
    example = content.get("application/json", {}).get("example")
    if example:
        words += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(example, ensure_ascii=False))}"]
    elif method == "post":
        words.insert(1, "-X POST")
    return " \\\n  ".join(words)


def shape(schema: Any) -> str:
    """A schema in words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        return f'<a href="#type-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(shape, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"array, each {shape(schema['items'])}"
    if kind == "object" and "properties" in schema:
        return "object with " + ", ".join(f"<code>{escape(name)}</code>" for name in schema["properties"])
    if kind == "string" and "format" in schema:
        return "time"
    return {"string": "text", None: "any JSON"}.get(kind, escape(str(kind))) + limits(schema)


def limits(schema: Any) -> str:
    low, high = (schema.get(name) for name in ("minimum", "maximum"))
    if (low, high) == (-(2**63), 2**63 - 1):
        return " of 64 bits"
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if "maxLength" in schema:
        return f" of up to {schema['maxLength']} characters"
    return ""


def fields(schema: Any) -> str:
    """Fields of an object."""
    required = schema.get("required", [])
    terms = [
        term(name, each, name in required, each.get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]
    return f"<dl>{''.join(terms)}</dl>"


def defined(name: str, schema: Any) -> str:
    head = f'<h3 id="type-{escape(name)}">{escape(name)}</h3>'
    return f"{head}{prose(schema.get('description', ''))}{fields(schema)}"
