"""Times that Postgres has and Python has not."""

import datetime as dt

import pytest

from v7_task_processor import database
from v7_task_processor.times import FIRST, LAST

EARLY = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Adak"])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("infinity", LAST),
        ("200000-01-01", LAST),
        ("9999-12-31 23:59:59.999999+00", LAST),
        ("2030-01-31 12:00:00+00", dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC)),
        ("0001-01-01 00:00:00+00", EARLY),
        ("0044-03-15 BC", FIRST),
        ("-infinity", FIRST),
    ],
)
def test_the_nearest_is_read(server_url: str, zone: str, written: str, read: dt.datetime) -> None:
    with database.connect_to_wait(server_url, options=f"-c TimeZone={zone}") as connection:
        assert connection.execute("select %s::timestamptz, null::timestamptz", [written]).fetchone() == (read, None)
