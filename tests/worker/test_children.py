"""What a supervisor hears of its processes."""

import socket

from v7_task_processor.worker.children import Child


async def test_of_two_reports_that_come_together_the_first_counts() -> None:
    """One that is ready, and fails before it was heard: its keeper must not end with it."""
    child = Child("worker")
    child.ours, theirs = socket.socketpair()
    with child.ours, theirs:
        theirs.sendall(b'{"ready":true}\n{"ready":false,"error":"it failed"}\n')
        report = await child.first_report()
    assert report.ready
    assert child.ready
