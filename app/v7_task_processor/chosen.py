"""Which unfinished jobs are meant: to list them, and to act on all of them."""

import datetime as dt
from typing import Annotated

import msgspec


class Chosen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By what a job is chosen; None: any. Of two times the first is included, the second is not."""

    status: str | None = None
    event_type_id: int | None = None
    user_id: int | None = None
    priority_min: int | None = None
    priority_max: int | None = None
    correlation_id: str | None = None
    attempt_min: int | None = None
    error: Annotated[str | None, msgspec.Meta(description="Part of the last error, in small or large letters.")] = None
    error_kind: str | None = None
    created_from: dt.datetime | None = None
    created_until: dt.datetime | None = None
