"""How many words go to the database together."""

import pytest

from v7_task_processor import Job, Snooze
from v7_task_processor.handlers import Described
from v7_task_processor.worker.lane import BATCH, CHARS_MAX, Lane
from v7_task_processor.worker.outcome import Ended, Failed, Outcome


def words(count: int, outcome: Outcome | None = None, log: str | None = None) -> list[Ended]:
    job = Job(1, 1, 1, 1, 1, "{}", 0, 5, "")
    return [Ended(job, 1, None, outcome, log=log) for _ in range(count)]


LONG = "x" * (CHARS_MAX // 2)


@pytest.mark.parametrize(
    ("given", "together"),
    [
        (words(2 * BATCH), [BATCH, BATCH]),
        (words(5, Failed(Described("E", "m", LONG))), [2, 2, 1]),
        (words(5, Failed(Described("E", LONG, ""))), [2, 2, 1]),
        (words(5, log=LONG), [2, 2, 1]),
        (words(2, Snooze(1), log=3 * LONG), [1, 1]),
        (words(0), []),
    ],
)
def test_a_batch_is_bounded_in_words_and_in_what_they_say(given: list[Ended], together: list[int]) -> None:
    lane = Lane()
    lane.add(*given)
    batches = []
    while batch := lane.next():
        batches.append(batch)
    assert [len(batch) for batch in batches] == together
    assert [each for batch in batches for each in batch] == given
