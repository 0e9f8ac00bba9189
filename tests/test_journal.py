"""What an attempt logs is kept, its last lines, and what is not kept is said."""

from v7_task_processor.observability.journal import CHARS_MAX, LINE_CHARS_MAX, LINES_MAX, Journal


def test_lines_are_kept_in_order() -> None:
    journal = Journal()
    for line in ("one", "two\nof two", "three"):
        journal.add(line)
    assert journal.text() == "one\ntwo\nof two\nthree"


def test_of_many_lines_the_last_are_kept_and_the_others_are_counted() -> None:
    journal = Journal()
    for number in range(LINES_MAX + 23):
        journal.add(f"line {number}")
    head, *lines = journal.text().split("\n")
    assert head == "… 23 lines before these were not kept …"
    assert lines == [f"line {number}" for number in range(23, LINES_MAX + 23)]


def test_of_long_lines_fewer_are_kept() -> None:
    journal = Journal()
    for number in range(1000):
        journal.add(f"{number} " + "ж" * 1000)
    head, *lines = journal.text().split("\n")
    assert lines[-1] == "999 " + "ж" * 1000
    assert head == f"… {1000 - len(lines)} lines before these were not kept …"
    assert CHARS_MAX - 1100 < len("\n".join(lines)) <= CHARS_MAX


def test_a_line_alone_is_cut() -> None:
    journal = Journal()
    journal.add("x" * 10_000_000)
    assert journal.text() == "x" * LINE_CHARS_MAX + f"… {10_000_000 - LINE_CHARS_MAX} characters more"
