"""Short disasters, each under a minute. The product comes through them with a clean ledger; a product from which
the promise in question was taken does not (test_mutants.py)."""

import random
import signal
import time
from collections.abc import Callable

from ..nodes import wait_until
from .lab import Lab
from .load import CALM
from .nemesis import signal_to

Scenario = Callable[[Lab], None]
LOST_SECONDS = 15.0


def running(lab: Lab, node: str) -> int:
    """How many jobs run on a node."""
    asked = """select count(*) from v7.jobs job join v7.workers worker on worker.id = job.worker_id
        join v7.workers node on node.id = worker.node_id
        where node.pid = %s and job.status = 'running'"""
    return int(str(lab.cluster.sql(asked, lab.places[node].node.running.pid)[0][0]))


def done(lab: Lab) -> int:
    return int(str(lab.cluster.sql("select count(*) from v7.finished_jobs")[0][0]))


def postgres_is_killed_under_load(lab: Lab) -> None:
    """Without workers, whose completions would flush what the events' own commits had not."""
    lab.add("api", "api")
    clients = lab.ready().send(CALM, 8, 300.0)
    for _ in range(2):
        clients.wait_for(200)
        begin = time.monotonic()
        lab.cluster.kill()
        lab.cluster.start()
        lab.fault("database-crashed", "database", [], begin)
    clients.wait_for(400)  # with too large a share that is not known a run proves nothing
    clients.stop()
    lab.add("a")


def a_frozen_node_wakes_while_its_jobs_run_elsewhere(lab: Lab) -> None:
    lab.add("a")
    lab.ready()
    lab.enqueue("sleep", 2, seconds=6)
    wait_until(lambda: running(lab, "a") == 2, "they run")
    begin, frozen = time.monotonic(), lab.places["a"].node.tree()
    lab.places["a"].notice()
    for each in frozen:
        signal_to(each, signal.SIGSTOP)
    lab.add("b")
    wait_until(lambda: running(lab, "b") > 0, "they were rescued and run again")
    for each in frozen:
        signal_to(each, signal.SIGCONT)
    lab.fault("node-frozen", "a", [each.pid for each in frozen], begin)


def all_are_cut_off_and_come_back_one_after_the_other(lab: Lab) -> None:
    lab.add("a")
    lab.add("b")
    lab.ready()
    lab.enqueue("sleep", 16, seconds=18)
    wait_until(lambda: running(lab, "a") + running(lab, "b") == 16 and running(lab, "b") > 0, "they run on both")
    begin = time.monotonic()
    for name in ("a", "b"):
        lab.places[name].proxy.refuses = True
        lab.places[name].proxy.cut()
    time.sleep(LOST_SECONDS + 1)  # is the fault: it must be longer than what makes a node a lost one
    lab.places["a"].proxy.refuses = False
    wait_until(lambda: beats_since(lab, "a", 2), "the first is back")
    lab.places["b"].proxy.refuses = False
    lab.fault("connections-cut", "a", [], begin)


def beats_since(lab: Lab, node: str, seconds: float) -> bool:
    asked = """select heartbeat_at > clock_timestamp() - make_interval(secs => %s) from v7.workers
        where pid = %s and node_id is null"""
    return lab.cluster.sql(asked, seconds, lab.places[node].node.running.pid) == [(True,)]


def handlers_end_the_interpreter_beside_others(lab: Lab) -> None:
    lab.add("a")
    lab.ready()
    for _ in range(3):
        lab.enqueue("sleep", 8, seconds=1.5)
        lab.enqueue("exit", 1, seconds=0.3)


def answers_of_claims_are_lost(lab: Lab) -> None:
    """And of other statements that carry lists: what is done there and not heard here runs under nobody."""
    place = lab.add("a")
    lab.ready()
    dice = random.Random(lab.seed)
    place.proxy.hit = lambda data: data[:1] == b"B" and b"{" in data and dice.random() < 0.3
    while place.proxy.hits < 12:
        lab.enqueue("ok", 20)
    place.proxy.hit = None


MUTANT_PLAIN_SECONDS = 4.0
"""How far apart the plain claims of that mutant are."""


def a_crash_takes_positions_back(lab: Lab) -> None:
    """Positions that were drawn and not flushed are drawn again: later events stand before what was seen."""
    place = lab.add("a", V7_CONCURRENCY=4)
    lab.ready()
    lab.cluster.sql("select count(nextval('v7.position')) from generate_series(1, 100000)")
    lab.enqueue("sleep", 1200, seconds=0.03, priority=9)  # short: what waits for long goes back, and it looks again
    wait_until(lambda: done(lab) > 5, "it works")
    begin = time.monotonic()
    with place.proxy.away():
        lab.cluster.stop(signal.SIGQUIT)
        lab.cluster.start()
        lab.cluster.sql("select setval('v7.position', last_value - 100000) from v7.position")
        time.sleep(MUTANT_PLAIN_SECONDS + 0.5)  # so that the first claim looks everywhere, and the next ones do not
    lab.fault("database-crashed", "database", [], begin)
    before = done(lab)
    wait_until(lambda: done(lab) > before + 40, "it works again")
    lab.enqueue("ok", 5, priority=0)


SCENARIOS: list[Scenario] = [
    postgres_is_killed_under_load,
    a_frozen_node_wakes_while_its_jobs_run_elsewhere,
    all_are_cut_off_and_come_back_one_after_the_other,
    handlers_end_the_interpreter_beside_others,
    answers_of_claims_are_lost,
    a_crash_takes_positions_back,
]
