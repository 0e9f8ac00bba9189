"""Events of every kind from clients that note what they sent and what they were told, and handlers that note what
they did: two of the ledger's records."""

import hashlib
import http.client
import json
import os
import random
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..nodes import wait_until

HANDLERS = '''
import asyncio, hashlib, json, os, secrets, signal, sys, time
from v7_task_processor import Discard, Snooze, handler

LOG = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(**fields):
    os.write(LOG, (json.dumps(fields | {{"mono": time.monotonic()}}) + "\\n").encode())

def start(job):
    nonce = secrets.token_hex(8)
    sha = hashlib.sha256(job.event_json.encode()).hexdigest()
    n = job.event_data["n"]
    note(what="start", nonce=nonce, id=job.id, attempt=job.attempt, n=n, sha=sha, pid=os.getpid())
    return nonce

def act(job, nonce):
    """What does not wait; the answer, and the outcome."""
    do = job.event_data["do"]
    if do == "fail" and job.retry_count < job.event_data["times"]:
        note(what="end", nonce=nonce, outcome="failed")
        raise ValueError("as asked")
    if do == "exit":
        note(what="end", nonce=nonce, outcome="failed")
        sys.exit(0)
    if do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "block":
        while True:
            pass
    if do == "discard":
        return Discard("as asked"), "discard"
    if do == "snooze" and job.attempt == 1:
        return Snooze(0.3), "snooze"
    return None, "ok"

@handler(timeout_seconds=20)
async def handle(job):
    nonce = start(job)
    try:
        await asyncio.sleep(job.event_data["seconds"])
    except asyncio.CancelledError:
        note(what="end", nonce=nonce, outcome="cancelled")
        raise
    answer, outcome = act(job, nonce)
    note(what="end", nonce=nonce, outcome=outcome)
    return answer

@handler(event_type_id=2, timeout_seconds=20)
def in_thread(job):
    nonce = start(job)
    time.sleep(job.event_data["seconds"])
    answer, outcome = act(job, nonce)
    note(what="end", nonce=nonce, outcome=outcome)
    return answer

@handler(event_type_id=3, timeout_seconds=1)
async def impatient(job):
    return await handle(job)
'''

CALM = {"ok": 70, "sleep": 20, "fail": 6, "snooze": 2, "discard": 2}
WILD = {**CALM, "exit": 0.5, "die": 0.15, "block": 0.03}
ANSWER_SECONDS_MAX = 40.0
TRIES_MAX = 6


class Notes:
    """A file of lines, each written by one write, so that a kill leaves at most the last one half."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **fields: Any) -> None:
        os.write(self.file, (json.dumps(fields) + "\n").encode())

    def close(self) -> None:
        os.close(self.file)


class Clients:
    """Threads that send events, each a line before its first byte leaves and a line after its answer came."""

    def __init__(self, addresses: list[tuple[str, int]], notes: Notes, seed: int, mix: Mapping[str, float]) -> None:
        self.addresses, self.notes, self.seed, self.mix = addresses, notes, seed, mix
        self.stopped = threading.Event()
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()
        self.next = 0
        self.answers: dict[int | None, int] = {}

    def start(self, count: int = 8, a_second: float = 200.0) -> "Clients":
        """`a_second` events in all."""
        for number in range(count):
            thread = threading.Thread(target=self.run, args=(number, count / a_second))
            self.threads.append(thread)
            thread.start()
        return self

    def wait_for(self, count: int) -> None:
        """Until so many more were answered."""
        goal = self.answers.get(200, 0) + count
        wait_until(lambda: self.answers.get(200, 0) >= goal, "clients were answered")

    def run(self, number: int, pause: float) -> None:
        chance = random.Random(f"{self.seed}-{number}")
        connection: http.client.HTTPConnection | None = None
        while not self.stopped.is_set():
            n = self.number()
            event = self.event(chance, n)
            key = f"key-{self.seed}-{n}" if chance.random() < 0.5 else None
            for again in range(TRIES_MAX if key else 1):
                connection, status = self.send(connection or self.connect(chance), n, event, key)
                if (status is not None and status < 500) or self.stopped.wait(0.2 * 2**again):
                    break
            self.stopped.wait(chance.expovariate(1 / pause))
        if connection is not None:
            connection.close()

    def number(self) -> int:
        with self.lock:
            self.next += 1
            return self.next

    def connect(self, chance: random.Random) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*chance.choice(self.addresses), timeout=ANSWER_SECONDS_MAX)

    def event(self, chance: random.Random, n: int) -> dict[str, Any]:
        (do,) = chance.choices([*self.mix], [*self.mix.values()])
        seconds = chance.uniform(0.01, 0.5) if do == "sleep" else 0.0
        data = {"n": n, "do": do, "seconds": round(seconds, 3), "times": chance.randint(1, 3), "é": "x" * (n % 50)}
        kind = 3 if do == "block" else chance.choice([1, 1, 2])
        return {"user_id": n, "priority": chance.randint(0, 9), "event_data": data, "event_type_id": kind}

    def send(
        self, connection: http.client.HTTPConnection, n: int, event: dict[str, Any], key: str | None
    ) -> tuple[http.client.HTTPConnection | None, int | None]:
        """The connection if it can be used again, and the status; None: not known."""
        text = json.dumps(event["event_data"], ensure_ascii=False)
        sha = hashlib.sha256(text.encode()).hexdigest()
        body = json.dumps({**event, "event_data": 0}).replace('"event_data": 0', f'"event_data": {text}')
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        self.notes.write(
            what="sent", n=n, key=key, type=event["event_type_id"], priority=event["priority"], sha=sha,
            do=event["event_data"]["do"], mono=time.monotonic(),
        )  # fmt: skip
        status, job_id, kept = None, None, None
        try:
            connection.request("POST", "/api/event/v1", body.encode(), headers)
            response = connection.getresponse()
            answer = response.read()
            status = response.status
            job_id = json.loads(answer)["id"] if status == 200 else None
            kept = connection
        except (OSError, http.client.HTTPException):
            connection.close()
        self.notes.write(what="done", n=n, status=status, id=job_id, mono=time.monotonic())
        with self.lock:
            self.answers[status] = self.answers.get(status, 0) + 1
        return kept, status

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(ANSWER_SECONDS_MAX + 10)
