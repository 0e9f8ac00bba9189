"""The sentence on the first screen."""

import datetime as dt
from typing import Any

import pytest

from v7_task_processor.overview import Depth, Ended, Oldest, Overview
from v7_task_processor.promise import Promise
from v7_task_processor.web.dashboard.verdict import Lately, verdict

NOW = dt.datetime(2030, 1, 31, tzinfo=dt.UTC)
DURABLE = Promise("durable on this server")
QUIET = Lately(0, 0)


def state(*, queued: int = 0, dead: int = 0, waits: float | None = None, **fields: Any) -> Overview:
    ended = Ended(seconds=60, succeeded=0, cancelled=0, failed_attempts=0, succeeded_per_second=0.0, capped=[])
    oldest = None if waits is None else Oldest(queued_at=NOW, age_seconds=waits, at_least=False)
    given: dict[str, Any] = {
        "now": NOW,
        "jobs": Depth(scheduled=0, queued=queued, running=0, dead=dead, capped=[]),
        "oldest": oldest,
        "paused": [],
        "unserved": [],
        "nodes": 1,
        "nodes_lost": 0,
        "workers": 2,
        "last_minute": ended,
        "last_hour": ended,
    }
    return Overview(**(given | fields))


@pytest.mark.parametrize(
    ("found", "lately", "promise", "level", "says"),
    [
        (state(), QUIET, DURABLE, "good", "Healthy: 2 workers take what comes, and nothing waits."),
        (state(workers=1, waits=3), QUIET, DURABLE, "good", "Healthy: 1 worker takes what comes, and the oldest"),
        (state(workers=0, queued=5), QUIET, DURABLE, "bad", "No worker lives, so nothing is handled"),
        (state(unserved=[7], paused=[1]), QUIET, DURABLE, "bad", "Type 7: events wait, and no running node"),
        (state(unserved=[1, 2, 3, 4]), QUIET, DURABLE, "bad", "Types 1, 2, 3, …: events wait"),
        (state(nodes_lost=1), QUIET, DURABLE, "warn", "1 node gave no heartbeat"),
        (state(paused=[5], waits=900), QUIET, DURABLE, "note", "Type 5: paused"),
        (state(waits=125), QUIET, DURABLE, "warn", "The oldest queued event has waited 2 min"),
        (state(dead=3), Lately(3, 1), DURABLE, "warn", "3 events died in the last hour, after 1 in the one before."),
        (state(dead=3), Lately(1, 1), DURABLE, "note", "3 dead letters wait for somebody"),
        (state(), QUIET, Promise("degraded: fsync is off", "fails"), "bad", "Degraded: fsync is off."),
    ],
)
def test_the_worst_comes_first(found: Overview, lately: Lately, promise: Promise, level: str, says: str) -> None:
    first = verdict(found, lately, promise)[0]
    assert (first.level, first.says.startswith(says)) == (level, True), first
