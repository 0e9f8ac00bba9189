"""How an attempt ended."""

import inspect
import sys
from typing import NamedTuple

import msgspec

from ..handlers import MESSAGE_CHARS_MAX, Described, clean, describe
from ..job import Discard, Job, Snooze

SNOOZE_SECONDS_MAX = 100 * 365 * 86400
UNTRIED = sys.maxsize


class Failed(NamedTuple):
    """It raised, or ran out of time."""

    error: Described

    @classmethod
    def timeout(cls, seconds: float) -> "Failed":
        return cls(Described("Timeout", f"not done within {seconds:g} seconds", ""))

    @classmethod
    def mistake(cls, what: str) -> "Failed":
        """Its answer makes no sense."""
        return cls(Described("TypeError", clean(what, MESSAGE_CHARS_MAX), ""))


class Release(NamedTuple):
    """It goes back where it stood, uncharged: it did not start, or this process ends."""


class Void(NamedTuple):
    """It was taken away while it ran (cancelled, rescued by others): whatever it did, there is nothing to say."""


Outcome = Failed | Discard | Snooze | Release | Void


class Ended(msgspec.Struct, frozen=True):
    """An attempt that is through, and the word about it that the database has not heard yet.

    `slot` is None where it had not started; `outcome` is None where it succeeded; `seconds` is how long it ran; `log`
    is what it logged, None: nothing; `begun` is the generation of the session in which its writing was tried first.
    """

    job: Job
    worker_id: int
    slot: int | None
    outcome: Outcome | None
    seconds: float = 0.0
    log: str | None = None
    begun: int = UNTRIED


def outcome_of(answer: object) -> Outcome | None:
    """What a handler's answer means. None: it succeeded. Answers are the user's code too, and may raise."""
    try:
        return understood(answer)
    except Exception as error:
        return Failed(describe(error))


def understood(answer: object) -> Outcome | None:
    if answer is None:
        return None
    if isinstance(answer, Snooze):
        if usable(answer.seconds):
            return answer
        return Failed.mistake(f"Snooze({answer.seconds!r}): it takes a number of seconds, from 0 to 100 years")
    if isinstance(answer, Discard):
        return Discard(str(answer.reason))
    if answer is Discard or answer is Snooze:
        return Failed.mistake(f"the handler returned the class {answer.__name__}: return {answer.__name__}(...)")
    what = unfinished(answer)
    return None if what is None else Failed.mistake(f"the handler returned {what}")


def unfinished(answer: object) -> str | None:
    """What an answer is of which nothing has run, or not all, and what to write instead; None: it is no such thing."""
    if inspect.isgenerator(answer) or inspect.isasyncgen(answer):
        return "a generator, of which nothing has run: write it without yield"
    if inspect.iscoroutine(answer):
        answer.close()
        return "a coroutine, of which nothing has run: await it, in `async def`"
    if inspect.isawaitable(answer):
        return f"a {type(answer).__name__}, which may not have ended: await it, in `async def`"
    return None


def usable(seconds: object) -> bool:
    """Whether a Snooze's seconds are: handlers are not type-checked."""
    return isinstance(seconds, int | float) and 0 <= seconds <= SNOOZE_SECONDS_MAX
