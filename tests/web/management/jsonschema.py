"""As much of JSON Schema as the OpenAPI document uses; a keyword that is not known here is an error."""

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
NOTES = {"title", "description", "default", "required", "items", "properties", "maxProperties", "additionalProperties"}


def conforms(document: Any, schema: Any, value: Any, where: str = "$") -> None:
    """Assert that a value fits a schema, and that objects have no fields which it does not name."""
    for keyword, wanted in schema.items():
        if keyword == "$ref":
            conforms(document, document["components"]["schemas"][wanted.rsplit("/", 1)[1]], value, where)
        elif keyword == "anyOf":
            assert any(fits(document, each, value) for each in wanted), f"{where}: {value!r} fits none of {wanted}"
        elif keyword == "type":
            right = isinstance(value, TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
            assert right, f"{where}: {value!r} is no {wanted}"
        elif keyword == "format":
            assert wanted == "date-time"
            assert is_time(value), f"{where}: {value!r} is no time"
        elif keyword not in NOTES:
            assert limits(keyword, wanted, value), f"{where}: {value!r}, {keyword} {wanted}"
    if isinstance(value, dict) and schema.get("type") == "object":
        members(document, schema, value, where)
    for place, each in enumerate(value if isinstance(value, list) else []):
        conforms(document, schema.get("items", {}), each, f"{where}[{place}]")


def members(document: Any, schema: Any, value: dict[str, Any], where: str) -> None:
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    missing = [name for name in schema.get("required", []) if name not in value]
    assert not missing, f"{where} lacks {missing}"
    for name, each in value.items():
        assert name in properties or others, f"{where} has {name}, which is not described"
        conforms(document, properties.get(name, others), each, f"{where}.{name}")


def fits(document: Any, schema: Any, value: Any) -> bool:
    try:
        conforms(document, schema, value)
    except AssertionError:
        return False
    return True


def is_time(value: str) -> bool:
    try:
        return dt.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def limits(keyword: str, wanted: Any, value: Any) -> bool:
    checks: dict[str, Callable[[], Any]] = {
        "enum": lambda: value in wanted,
        "minimum": lambda: value >= wanted,
        "maximum": lambda: value <= wanted,
        "minLength": lambda: len(value) >= wanted,
        "minItems": lambda: len(value) >= wanted,
        "maxItems": lambda: len(value) <= wanted,
        "maxLength": lambda: len(value) <= wanted,
        "pattern": lambda: re.search(wanted, value) is not None,
    }
    return bool(checks[keyword]())
