"""Many requests in one segment, and answers that nobody reads."""

import pytest

from .support import ApiProcess, body, rows
from .test_protocol import CLOSING, COUNT, HEAD, REQUEST, sent

LOOK = b"GET /livez HTTP/1.1\r\nHost:\r\n\r\n"


@pytest.mark.fault(67)
def test_no_more_wait_than_may(api: ApiProcess) -> None:
    """Each that waits takes memory, without a key: those that came first are answered, and the connection closed."""
    answers = sent(api, LOOK * 10_000 + LOOK.replace(b"Host:", b"Host:\r\nConnection: close"))
    assert 0 < answers.count(b"HTTP/1.1 200 OK") <= 65
    assert answers.count(b"HTTP/1.1 ") == answers.count(b"HTTP/1.1 200 OK")
    assert answers.count(b"connection: close") <= 1


def test_fifty_behind_each_other(api: ApiProcess, database_url: str) -> None:
    assert sent(api, REQUEST * 49 + CLOSING).count(b"HTTP/1.1 200 OK") == 50
    assert rows(database_url, COUNT) == [(50,)]


def test_large_ones_wait_in_the_socket(api: ApiProcess, database_url: str) -> None:
    """Of which one read holds no more than may wait."""
    event = body('"' + "x" * 6_000 + '"')
    request = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(event), event)
    assert sent(api, request * 300 + CLOSING).count(b"HTTP/1.1 200 OK") == 301
    assert rows(database_url, COUNT) == [(301,)]
