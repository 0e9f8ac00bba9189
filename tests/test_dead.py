"""Dead letters in groups."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from v7_task_processor import listing
from v7_task_processor.listing import dead

from .conftest import fresh

LETTERS = """
insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, last_error)
select case when n > 20 then 2 else 1 end, 1, 1, '{}', 'dead', now() - n * interval '1 s', 'x',
    case when n % 2 = 0 then 'ValueError' else 'KeyError' end || ': number ' || n from generate_series(1, 25) n
"""
"""Those of type 2 died before all of type 1."""


@pytest.fixture(scope="module")
def url(server_url: str, template: str) -> Iterator[str]:
    for name in fresh(server_url, template):
        with psycopg.connect(name) as connection:
            connection.execute(LETTERS)
        yield name


@pytest.fixture
def reading(url: str) -> Iterator[sa.Connection]:
    with listing.reading(url) as connection:
        yield connection


def groups(found: listing.DeadGroups) -> list[tuple[int, str, int]]:
    return [(each.event_type_id, each.kind, each.jobs) for each in found.groups]


def test_by_type_and_kind_of_error(reading: sa.Connection) -> None:
    found = listing.dead_groups(reading)
    assert groups(found) == [(1, "KeyError", 10), (1, "ValueError", 10), (2, "KeyError", 3), (2, "ValueError", 2)]
    assert (found.looked_at, found.all_seen) == (25, True)
    assert found.groups[2].sample_error == "KeyError: number 25"


def test_the_newest_are_looked_at(reading: sa.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead, "LOOKED_MAX", 10)
    found = listing.dead_groups(reading)
    assert groups(found) == [(1, "KeyError", 5), (1, "ValueError", 5)]
    assert (found.looked_at, found.all_seen) == (10, False)


@pytest.mark.fault(68)
@pytest.mark.parametrize(
    ("looked_max", "found"), [(20, []), (22, [(2, "KeyError", 1), (2, "ValueError", 1)]), (26, None)]
)
def test_those_of_a_type_are_sought_among_the_newest(
    reading: sa.Connection, monkeypatch: pytest.MonkeyPatch, looked_max: int, found: list[tuple[int, str, int]] | None
) -> None:
    """No index has them: where there are few, or none, all dead letters would be read."""
    monkeypatch.setattr(dead, "LOOKED_OF_TYPE_MAX", looked_max)
    of_type = listing.dead_groups(reading, 2)
    assert groups(of_type) == ([(2, "KeyError", 3), (2, "ValueError", 2)] if found is None else found)
    assert (of_type.looked_at, of_type.all_seen) == (min(looked_max, 25), looked_max > 25)
