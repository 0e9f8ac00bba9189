"""The queue as a list: in the order of claims, and with a filter no more than some of it is read for a page."""

from typing import Any

import pytest

from v7_task_processor import listing
from v7_task_processor.listing import Filter, jobs

from .population import KEYS, populate

IN_LINE = [KEYS[name] for name in ("better", "paused", "queued", "unserved")]


@pytest.mark.fault(68)
@pytest.mark.parametrize(
    ("served", "looked_at"),
    [({}, IN_LINE), ({"event_type_id": 9}, IN_LINE[3:]), ({"priority_max": 0}, IN_LINE[:2])],
    ids=["alone", "of a type", "of priorities"],
)
def test_a_filter_without_an_index_looks_at_some_and_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch, served: dict[str, Any], looked_at: list[int]
) -> None:
    """What the queue's indexes serve is found at once; of the rest there may be none among millions."""
    populate(database_url)
    monkeypatch.setattr(jobs, "LOOKED_MAX", 1)
    seen: list[tuple[list[int], int | None]] = []
    with listing.reading(database_url) as reading:
        while not seen or seen[-1][1] is not None:
            after = seen[-1][1] if seen else None
            page = listing.listed_page(reading, Filter(user_id=8, **served), "queue", after=after)
            seen.append(([job.id for job in page.jobs], page.next_after))
    of_user = {KEYS["paused"], KEYS["unserved"]}
    assert seen == [*(([job_id] if job_id in of_user else [], job_id) for job_id in looked_at), ([], None)]
