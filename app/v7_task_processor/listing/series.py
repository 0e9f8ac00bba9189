"""How much came, ended and failed, minute by minute, and how fast each event type goes: from what was counted, so no
table of jobs is read. `queue.note_minute` keeps it."""

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa

from ..observability.families import ATTEMPTS, FAILED, HANDLER_DURATION, OTHER
from ..schema import minutes
from .measures import counts, named_types
from .session import now

HOURS_MAX = 24
RECENT = dt.timedelta(minutes=5)
MINUTE = dt.timedelta(minutes=1)
NUMBERS = ("received", "succeeded", "failed", "dead", "retried")


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """What came between the beginning of a minute and its end, in all processes."""

    minute: dt.datetime
    received: int
    """Events that the API acknowledged; those that v7.enqueue added in SQL are not among them."""
    succeeded: int
    failed: int
    """Attempts that failed, were discarded or crashed."""
    dead: int
    retried: int


class TypeRate(msgspec.Struct, frozen=True, kw_only=True):
    """How an event type went in the last hour, or in the `seconds` of it of which something is known."""

    event_type_id: int | None
    """None: all types that came after the first fifty."""
    seconds: float
    succeeded: int
    failed: int
    per_second: float
    """Attempts that ended."""
    failure_share: float | None
    """Of attempts, from 0 to 1; None: none ended."""
    p50_seconds: float | None
    """Half of the handlers ran no longer. From buckets, so it is rough; None: none ran."""
    p95_seconds: float | None


def series(connection: sa.Connection, hours: int = 1) -> list[Minute]:
    """The last hours by the minute, the earliest first, without the one that has not ended.

    Before the first that any node noted there is nothing.
    """
    moment = now(connection)
    columns = [minutes.c[name] for name in ("minute", *NUMBERS)]
    begin = moment - dt.timedelta(hours=min(hours, HOURS_MAX)) - MINUTE
    before = sa.select(sa.func.max(minutes.c.minute)).where(minutes.c.minute <= begin).scalar_subquery()
    statement = sa.select(*columns).where(minutes.c.minute >= sa.func.coalesce(before, begin))
    rows = connection.execute(statement.order_by(minutes.c.minute)).all()
    found: list[Minute] = []
    for one, following in itertools.pairwise(rows):
        found += between(one, following)
    return [each for each in found if each.minute > begin]


def between(one: Sequence[dt.datetime | float], following: Sequence[dt.datetime | float]) -> Iterator[Minute]:
    """The minutes from one note to the next. Whoever lives and counts notes them: where there are several, what was
    counted came before the last of those ended, in the first of them."""
    begin, end = one[0], following[0]
    assert isinstance(begin, dt.datetime)
    assert isinstance(end, dt.datetime)
    # After a failover that lost the end of the log, or a restore, a total may be less than it was.
    grown = [max(0, round(float(b) - float(a))) for a, b in zip(one[1:], following[1:], strict=True)]  # type: ignore[arg-type]
    yield Minute(minute=begin, **dict(zip(NUMBERS, grown, strict=True)))
    for step in range(1, min(round((end - begin) / MINUTE), 2 * HOURS_MAX * 60)):
        yield Minute(minute=begin + step * MINUTE, **dict.fromkeys(NUMBERS, 0))


def event_type_rates(connection: sa.Connection) -> list[TypeRate]:
    """The types of which attempts ended in the last hour, by number; those after the first fifty as one, at the end."""
    moment = now(connection)
    noted = sa.select(minutes.c.noted_at, minutes.c.counts).where(minutes.c.counts.is_not(None))
    row = connection.execute(
        noted.where(minutes.c.minute >= moment - dt.timedelta(hours=1)).order_by(minutes.c.minute).limit(1)
    ).first()
    if row is None:
        return []
    seconds = max(1.0, (moment - row.noted_at).total_seconds())
    types = named_types(connection)
    grown = {
        place: less(numbers, row.counts.get("|".join(place))) for place, numbers in counts(connection, types).items()
    }
    labels = {place[1] for place in grown if place[0] == ATTEMPTS.name}
    rates = [rate(label, seconds, grown) for label in labels]
    ended = [each for each in rates if each.succeeded + each.failed]
    return sorted(ended, key=lambda each: (each.event_type_id is None, each.event_type_id or 0))


def less(numbers: list[float], before: list[float] | None) -> list[float]:
    if before is None or len(before) != len(numbers):
        return numbers
    return [max(0.0, after - earlier) for after, earlier in zip(numbers, before, strict=True)]


def rate(label: str, seconds: float, grown: dict[tuple[str, str, str], list[float]]) -> TypeRate:
    def ended(outcome: str) -> int:
        return round(grown.get((ATTEMPTS.name, label, outcome), [0.0])[0])

    succeeded, failed = ended("succeeded"), sum(map(ended, FAILED))
    durations = grown.get((HANDLER_DURATION.name, label, ""), HANDLER_DURATION.nothing())[:-1]
    return TypeRate(
        event_type_id=None if label == OTHER else int(label),
        seconds=round(seconds, 1),
        succeeded=succeeded,
        failed=failed,
        per_second=round((succeeded + failed) / seconds, 3),
        failure_share=round(failed / (succeeded + failed), 4) if succeeded + failed else None,
        p50_seconds=quantile(durations, HANDLER_DURATION.bounds, 0.5),
        p95_seconds=quantile(durations, HANDLER_DURATION.bounds, 0.95),
    )


def quantile(buckets: Sequence[float], bounds: Sequence[float], share: float) -> float | None:
    """By a straight line within a bucket, as Prometheus does it; beyond the last bound it is that bound."""
    wanted = share * sum(buckets)
    if not wanted:
        return None
    low = seen = 0.0
    for count, high in zip(buckets, bounds, strict=False):
        if seen + count >= wanted:
            return round(low + (high - low) * (wanted - seen) / count, 4)
        seen, low = seen + count, high
    return bounds[-1]


def recent_rate(connection: sa.Connection) -> float | None:
    """Attempts a second that ended in the last five minutes, of all types; None: nothing is known of them."""
    moment = now(connection)
    noted = sa.select(minutes.c.noted_at, minutes.c.succeeded + minutes.c.failed)
    noted = noted.where(minutes.c.minute >= moment - RECENT - MINUTE).order_by(minutes.c.minute).limit(1)
    row = connection.execute(noted).first()
    if row is None:
        return None
    ended = sum(
        numbers[0]
        for (name, _, outcome), numbers in counts(connection, named_types(connection)).items()
        if name == ATTEMPTS.name and outcome in ("succeeded", *FAILED)
    )
    seconds = (moment - row.noted_at).total_seconds()
    return max(0.0, ended - row[1]) / seconds if seconds >= 1 else None
