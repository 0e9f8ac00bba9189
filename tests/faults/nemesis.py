"""Breaks a lab, at random, by seed: which fault, what it hits, how long it lasts and when the next one comes."""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import psutil
import psycopg

from .lab import Lab, Place, until

SECONDS_MAX = 25.0
BACK_SECONDS_MAX = 60.0
WEIGHTS = {
    "worker-killed": 5,
    "api-killed": 2,
    "supervisor-killed": 2,
    "node-killed": 2,
    "node-frozen": 2,
    "supervisor-frozen": 1,
    "node-cut": 2,
    "connections-cut": 3,
    "answers-lost": 4,
    "slow": 1,
    "drain": 2,
    "database-crashed": 3,
    "database-stopped": 1,
    "database-restarted": 2,
    "backend-killed": 1,
    "backend-terminated": 2,
    "lock-held": 1,
}


class Nemesis:
    def __init__(self, lab: Lab, seed: int, say: Callable[[str], None] = lambda line: None) -> None:
        self.lab, self.dice, self.say = lab, random.Random(f"nemesis-{seed}"), say
        self.done: Counter[str] = Counter()

    def run(self, seconds: float, pause: float = 8.0) -> None:
        """Faults for so long, with a pause of about `pause` between them, in which all is whole."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            (fault,) = self.dice.choices([*WEIGHTS], [*WEIGHTS.values()])
            self.strike(fault)
            time.sleep(min(self.dice.uniform(0.5, 1.5) * pause, max(0.0, deadline - time.monotonic())))

    def strike(self, fault: str) -> None:
        begin = time.monotonic()
        target = getattr(self, fault.replace("-", "_"))()
        self.done[fault] += 1
        self.say(f"{fault} {target} ({time.monotonic() - begin:.1f} s)")

    def place(self, *commands: str) -> Place:
        places = [place for place in self.lab.places.values() if not commands or place.command in commands]
        place = self.dice.choice(places)
        place.notice()
        return place

    def worker_killed(self) -> str:
        place = self.place("worker", "run")
        begin = time.monotonic()
        workers = place.node.workers()
        if workers:
            victim = self.dice.choice(workers)
            kill(victim)
            self.lab.fault("worker-killed", place.name, [victim.pid], begin)
        return place.name

    def api_killed(self) -> str:
        place = self.place("api", "run")
        begin = time.monotonic()
        apis = self.lab.processes(place.name, "apis")
        if apis:
            victim = self.dice.choice(apis)
            kill(victim)
            self.lab.fault("api-killed", place.name, [victim.pid], begin)
        return place.name

    def supervisor_killed(self) -> str:
        place = self.place()
        begin, tree = time.monotonic(), place.node.tree()
        kill(psutil.Process(place.node.running.pid))
        place.node.running.wait(10)
        assert not psutil.wait_procs(tree, timeout=10)[1], "what a dead supervisor left behind lives on"
        self.lab.fault("supervisor-killed", place.name, [each.pid for each in tree], begin)
        return self.again(place)

    def node_killed(self) -> str:
        place = self.place()
        begin, pids = time.monotonic(), [each.pid for each in place.node.tree()]
        place.node.kill_tree()
        self.lab.fault("node-killed", place.name, pids, begin)
        time.sleep(self.dice.choice([0.0, 1.0, 5.0, SECONDS_MAX]))
        return self.again(place)

    def drain(self) -> str:
        place = self.place()
        begin, pids = time.monotonic(), [each.pid for each in place.node.tree()]
        code = place.node.stop()
        assert code == 0, place.node.said()[-3000:]
        self.lab.fault("drain", place.name, pids, begin)
        return self.again(place)

    def again(self, place: Place) -> str:
        """Start a node; anew while its start ends, as a container is: a rare error may meet that too. Each is told."""
        place.node.start(place.command)
        role = "workers" if place.command in ("worker", "run") else "apis"

        def works() -> bool:
            if place.node.running.poll() is not None:
                self.say(f"the start of {place.name} ended: {place.node.said().splitlines()[-1]}")
                place.node.start(place.command)
            return bool(self.lab.processes(place.name, role))

        assert until(works, BACK_SECONDS_MAX), place.node.said()[-3000:]
        place.notice()
        return place.name

    def node_frozen(self) -> str:
        place = self.place()
        return self.freeze("node-frozen", place, place.node.tree())

    def supervisor_frozen(self) -> str:
        place = self.place("worker", "run")
        return self.freeze("supervisor-frozen", place, self.lab.processes(place.name, "supervisor"))

    def freeze(self, fault: str, place: Place, processes: list[psutil.Process]) -> str:
        begin = time.monotonic()
        pids = [each.pid for each in place.node.tree()]
        for each in processes:
            signal_to(each, signal.SIGSTOP)
        time.sleep(self.dice.choice([2.0, 8.0, 12.0, SECONDS_MAX]))
        for each in processes:
            signal_to(each, signal.SIGCONT)
        self.lab.fault(fault, place.name, pids, begin)
        return place.name

    def node_cut(self) -> str:
        place = self.place()
        begin, pids = time.monotonic(), [each.pid for each in place.node.tree()]
        place.proxy.stall()
        time.sleep(self.dice.choice([2.0, 8.0, 12.0, SECONDS_MAX]))
        place.proxy.resume()
        self.lab.fault("node-cut", place.name, pids, begin)
        return place.name

    def connections_cut(self) -> str:
        place = self.place()
        begin = time.monotonic()
        place.proxy.cut()
        self.lab.fault("connections-cut", place.name, [], begin)
        return place.name

    def answers_lost(self) -> str:
        """One in a few of what is sent in these seconds is done, and its answer is lost with its connection."""
        place, dice = self.place(), random.Random(self.dice.random())
        begin = time.monotonic()
        place.proxy.hit = lambda data: dice.random() < 0.05
        time.sleep(3)
        place.proxy.hit = None
        self.lab.fault("answers-lost", place.name, [], begin)
        return place.name

    def slow(self) -> str:
        place = self.place()
        begin = time.monotonic()
        place.proxy.delay_seconds = 0.2
        time.sleep(6)
        place.proxy.delay_seconds = 0.0
        self.lab.fault("slow", place.name, [], begin)
        return place.name

    def database_crashed(self) -> str:
        begin = time.monotonic()
        self.lab.cluster.kill()
        time.sleep(self.dice.choice([0.0, 0.0, 3.0]))
        self.lab.cluster.start()
        self.lab.fault("database-crashed", "database", [], begin)
        return ""

    def database_stopped(self) -> str:
        """Immediately, which is a crash for what was not flushed."""
        begin = time.monotonic()
        self.lab.cluster.stop(signal.SIGQUIT)
        self.lab.cluster.start()
        self.lab.fault("database-crashed", "database", [], begin)
        return ""

    def database_restarted(self) -> str:
        begin = time.monotonic()
        self.lab.cluster.stop(signal.SIGINT)
        time.sleep(self.dice.choice([0.0, 2.0, 20.0]))
        self.lab.cluster.start()
        self.lab.fault("database-restarted", "database", [], begin)
        return ""

    def backend_killed(self) -> str:
        begin = time.monotonic()
        pids = self.client_backends()
        if pids:
            kill(psutil.Process(self.dice.choice(pids)))
            self.lab.cluster.wait()
            self.lab.fault("backend-killed", "database", [], begin)
        return ""

    def backend_terminated(self) -> str:
        begin = time.monotonic()
        pids = self.client_backends()
        for pid in self.dice.sample(pids, min(3, len(pids))):
            with contextlib.suppress(psycopg.Error):
                self.lab.cluster.sql("select pg_terminate_backend(%s)", pid)
        self.lab.fault("backend-terminated", "database", [], begin)
        return ""

    def client_backends(self) -> list[int]:
        asked = "select pid from pg_stat_activity where application_name like 'v7%' order by pid"
        return [int(str(pid)) for (pid,) in self.lab.cluster.sql(asked)]

    def lock_held(self) -> str:
        begin = time.monotonic()
        with (
            contextlib.suppress(psycopg.Error),
            psycopg.connect(self.lab.cluster.socket_url, options="-c lock_timeout=10s") as connection,
        ):
            connection.execute("lock v7.jobs in access exclusive mode")
            time.sleep(self.dice.uniform(1, 8))
            connection.rollback()
        self.lab.fault("lock-held", "database", [], begin)
        return ""


def kill(process: psutil.Process) -> None:
    signal_to(process, signal.SIGKILL)


def signal_to(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
