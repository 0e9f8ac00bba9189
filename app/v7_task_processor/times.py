"""Times that Postgres has and Python has not: 'infinity', and what is before the year 1 or after the year 9999."""

import datetime as dt

import psycopg
from psycopg.abc import AdaptContext, Buffer, Loader
from psycopg.adapt import Loader as BaseLoader

FIRST = dt.datetime.min.replace(tzinfo=dt.UTC)
LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


class NearestTime(BaseLoader):
    """Reads such a time as the first or the last that Python has: one row that somebody wrote by SQL must not keep all
    others from being shown."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        plain = psycopg.adapters.get_loader(oid, self.format)
        assert plain is not None
        self.plain: Loader = plain(oid, context)

    def load(self, data: Buffer) -> dt.datetime:
        try:
            time: dt.datetime = self.plain.load(data)
        except psycopg.DataError:
            text = bytes(data)
            return FIRST if text.startswith(b"-") or text.endswith(b"BC") else LAST
        return time
