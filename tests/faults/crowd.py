"""Many clients at once, and what each event of theirs was answered with."""

import http.client
import json
import threading
import time
from collections import Counter
from typing import Self

from ..nodes import post

AGAIN_SECONDS = 0.05


class Crowd:
    """So many clients that post as fast as they are answered, each event with a number of its own, `n` in its data."""

    def __init__(self, address: tuple[str, int], count: int) -> None:
        self.address, self.count = address, count
        self.sent: Counter[int] = Counter()
        self.acknowledged: dict[int, int] = {}
        """The ids that numbers were answered with."""
        self.refused: list[tuple[int, str]] = []
        """Other answers: status, sentence."""
        self.unknown: list[int] = []
        """Numbers whose connection broke: they may be there or not."""
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(number,)) for number in range(count)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def run(self, client: int) -> None:
        number = client
        while not self.stopped.is_set():
            self.send(client, number)
            number += self.count

    def send(self, client: int, number: int) -> None:
        self.sent[number] += 1
        body = {"user_id": client, "priority": number % 7, "event_data": {"n": number}, "event_type_id": 1}
        try:
            status, text = post(self.address, body)
        except (OSError, http.client.HTTPException):
            self.unknown.append(number)
            time.sleep(AGAIN_SECONDS)
        else:
            if status == 200:
                self.acknowledged[number] = json.loads(text)["id"]
            else:
                self.refused.append((status, text))
