"""The headers of W3C Trace Context, as senders give them, well and badly."""

import pytest

from v7_task_processor.web.trace import NONE, TRACESTATE_CHARS_MAX, Trace, given

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_is_given_is_kept() -> None:
    assert given({b"traceparent": PARENT.encode(), b"tracestate": b"vendor=1,other=2"}) == (PARENT, "vendor=1,other=2")
    assert given({b"traceparent": PARENT.encode()}) == Trace(PARENT, None)
    assert given({}) == NONE


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        PARENT.upper(),
        PARENT + "-more",
        PARENT[:-1],
        "ff" + PARENT[2:],
        PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        PARENT.replace("b7ad6b7169203331", "0" * 16),
        PARENT.replace("-", "_"),
        PARENT + "\n",
    ],
)
def test_what_is_no_traceparent_is_left_out_with_its_state(wrong: str) -> None:
    assert given({b"traceparent": wrong.encode(), b"tracestate": b"vendor=1"}) == NONE


@pytest.mark.parametrize("state", [b"", b"x" * (TRACESTATE_CHARS_MAX + 1), b"\xff=1", b"a=\x01", b"a=1\n"])
def test_a_tracestate_that_does_not_fit_is_left_out_alone(state: bytes) -> None:
    assert given({b"traceparent": PARENT.encode(), b"tracestate": state}) == Trace(PARENT, None)


def test_a_long_tracestate_that_fits_is_kept() -> None:
    state = "x" * TRACESTATE_CHARS_MAX
    assert given({b"traceparent": PARENT.encode(), b"tracestate": state.encode()}) == Trace(PARENT, state)
