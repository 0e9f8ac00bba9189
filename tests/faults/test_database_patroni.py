"""F33 and F35 on what people really run: Patroni, etcd and HAProxy, and the ledger at the end."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from v7_task_processor import promise
from v7_task_processor.cli import root
from v7_task_processor.server import describe

from ..nodes import EVENT, node, post, wait_until
from .books import check_ledger, may_be_lost, seconds_until_it_works, work_on
from .lab import Lab
from .looks import Record
from .patroni import NEEDS_PATRONI, Pair, pair

pytestmark = [NEEDS_PATRONI, pytest.mark.slow, pytest.mark.timeout(600)]
BACK_SECONDS = 30.0


@pytest.fixture
def synchronous(tmp_path: Path) -> Iterator[Pair]:
    with pair(tmp_path / "pair", synchronous=True) as made:
        yield made


@pytest.mark.fault(33)
def test_the_machine_of_the_primary_is_lost_under_load(
    synchronous: Pair, tmp_path: Path, record_property: Record
) -> None:
    """With its Patroni. Nobody lends a hand, and the ledger finds every event that was acknowledged."""
    with Lab(tmp_path / "lab", synchronous, 33) as lab:  # type: ignore[arg-type]
        lab.add("node", "run", V7_WORKER_PROCESSES=1)
        lab.ready()
        lab.send(a_second=100.0)
        work_on(lab, 400)  # of what is sent in the outage little is known; the rest must outweigh it
        lost = synchronous.primary()
        began = time.monotonic()
        lost.kill()
        seconds = seconds_until_it_works(lab, began, 3 * BACK_SECONDS)
        lab.fault("database-crashed", "database", [], began)
        record_property("recovery_seconds", round(seconds, 2))
        work_on(lab, 400)
        lab.settle()
        found = lab.report()
        record_property("report", str(found))
        assert found.passed, str(found)
        check_ledger(lab, may_be_lost((began, time.monotonic())))
        assert synchronous.primary() is not lost
    assert seconds < BACK_SECONDS


@pytest.mark.fault(33)
def test_an_old_primary_that_is_cut_off_acknowledges_nothing(synchronous: Pair, tmp_path: Path) -> None:
    """Its Patroni stands still, so nobody demotes it, and an API on its side of the cut still reaches it."""
    old = synchronous.primary()
    with node(tmp_path / "cut", old.url, "api") as beside, node(tmp_path / "rest", synchronous.url, "run") as one:
        cut, rest = beside.address(), one.address()
        assert post(cut, EVENT)[0] == post(rest, EVENT)[0] == 200
        patroni = old.tree()[0]
        patroni.send_signal(signal.SIGSTOP)
        old.cut_off()
        answers: Counter[int] = Counter()
        stopped = threading.Event()
        sending = threading.Thread(target=keep_posting, args=(cut, answers, stopped))
        sending.start()
        try:
            wait_until(lambda: synchronous.standby_took_over(old), "the other has taken over", 90)
            wait_until(lambda: post(rest, EVENT)[0] == 200, "and takes events")
            told = answers.total()
            wait_until(lambda: answers.total() > told + 1, "the old one was asked again")
        finally:
            stopped.set()
            sending.join()
        assert answers[200] == 0, answers
        wait_until(lambda: one.noted("end"), "events are handled")


def keep_posting(address: tuple[str, int], answers: "Counter[int]", stopped: threading.Event) -> None:
    while not stopped.is_set():
        answers[post(address, EVENT)[0]] += 1


@pytest.mark.fault(35)
def test_with_asynchronous_replication_it_says_what_an_acknowledgement_is_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the start and in the doctor, before anything is lost; and afterwards no id is given out twice."""
    worth = "its standby (b) is asynchronous: what was acknowledged last is lost when it takes over"
    with pair(tmp_path / "pair", synchronous=False) as both, node(tmp_path / "node", both.url, "run") as one:
        address = one.address()
        wait_until(lambda: worth in one.said(), "it says so")
        root.run(["doctor", "--database-url", both.url])
        assert worth in capsys.readouterr().out
        before = int(post(address, EVENT)[1].split(":")[1].strip(" }"))
        lost = both.primary()
        lost.kill()
        wait_until(lambda: post(address, EVENT)[0] == 200, "events are taken again", 90)
        after = int(post(address, EVENT)[1].split(":")[1].strip(" }"))
        assert after > before + 900_000
        assert promise.promise(describe(both.url, promise.SETTINGS)).sentence == "durable on this server"
