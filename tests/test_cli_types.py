"""The commands that change an event type: limit, pause and resume."""

import psycopg

from .command import answer, v7


def test_limit(database_url: str) -> None:
    assert answer("types", "limit", "-5", "3", url=database_url) == {"event_type_id": -5, "concurrency_limit": 3}
    (row,) = answer("types", "list", url=database_url)["event_types"]
    assert (row["event_type_id"], row["concurrency_limit"]) == (-5, 3)
    assert answer("types", "limit", "-5", "--none", url=database_url) == {
        "event_type_id": -5,
        "concurrency_limit": None,
    }


def test_pause_and_resume(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listening:
        listening.execute("listen v7")
        paused = answer("types", "pause", "-5", url=database_url)
        assert [note.payload for note in listening.notifies(timeout=60, stop_after=1)] == ["types"]
        (row,) = listening.execute("select paused_at, paused_by from v7.event_types where event_type_id = -5")
    assert paused["event_type_id"] == -5
    assert paused["paused_at"].startswith(row[0].date().isoformat())
    assert row[1].startswith("v7 types pause by ")
    assert "@" in row[1]
    assert answer("types", "resume", "-5", url=database_url) == {"event_type_id": -5, "paused_at": None}
    done = v7("types", "resume", "6", url=database_url)
    assert done.returncode == 1
    assert done.stderr == "v7: There is no event type 6: v7 types list shows those that there are.\n"
