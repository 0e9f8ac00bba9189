"""The fields of a form, sent or in an address."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from starlette.requests import Request

from ..management.call import path_id
from ..management.parameters import whole
from ..problem import Problem
from .access import PATH

IDS_MAX = 1000
FIELDS_MAX = IDS_MAX + 30
FORM_BYTES_MAX = 4 * 2**20
PLACE = re.compile(rf"{PATH}([/?][!-\[\]-~]*)?")
"""No backslash, which browsers take for a slash, and nothing that a header cannot hold."""

Fields = Mapping[str, str]


async def form_of(request: Request, bytes_max: int = FORM_BYTES_MAX) -> dict[str, str]:
    """The fields of a form that was sent; ids are joined by commas. Raises Problem."""
    body = await whole(request, bytes_max)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError:
        raise Problem("bad-request", "The form is not understood.") from None
    return fields(pairs)


def fields(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]},{value}" if name == "id" and name in found else value
    return found


def ids_of(given: Fields) -> list[int]:
    """Which jobs. Raises Problem."""
    ids = list(dict.fromkeys(path_id(each) for each in given.get("id", "").split(",") if each))
    if not ids:
        raise Problem("bad-request", "No job is chosen: tick some in the list, and press the button again.")
    if len(ids) > IDS_MAX:
        raise Problem("bad-request", f"More than {IDS_MAX} jobs are chosen.")
    return ids


def then_of(given: str) -> str:
    """Where to go afterwards: a page of ours."""
    return given if PLACE.fullmatch(given) else PATH
