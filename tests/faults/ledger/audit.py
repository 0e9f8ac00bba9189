"""The durable history of each row, written by triggers of the test's own in the product's own transactions.

What a crash takes from the one it takes from the other: the audit is exactly what was durable. The triggers are
deferred, so that they fire at the commit: then the clock says when others could see the change, and not when a
transaction made it that was held for a minute. Rows stay locked until after that, hence `seq` is in the order of
events for each job (between jobs it is not).
"""

import time
from typing import Any, NamedTuple

import msgspec
import psycopg

from .records import Change, Failure, Row, Tables

# Without rights of its own, and all names qualified: whoever may write to the tables may, with any search_path.
# An identity and no serial, since that would want rights on its sequence.
INSTALL = """
create schema audit;
create table audit.changes (
    seq bigint generated always as identity primary key, xid text not null, wall timestamptz not null,
    began timestamptz not null, op text not null, id bigint not null,
    old_status text, old_attempt int, old_worker bigint, old_retry_count int, old_priority bigint, old_position bigint,
    status text, attempt int, worker bigint, retry_count int, priority bigint, position bigint, suspect boolean);
create function audit.note() returns trigger language plpgsql as $$
begin
    insert into audit.changes (xid, wall, began, op, id,
        old_status, old_attempt, old_worker, old_retry_count, old_priority, old_position,
        status, attempt, worker, retry_count, priority, position, suspect)
    values (pg_catalog.pg_current_xact_id()::text, pg_catalog.clock_timestamp(), pg_catalog.now(), tg_argv[0],
        coalesce(new.id, old.id),
        old.status, old.attempt, old.worker_id, old.retry_count, old.priority, old.position,
        new.status, new.attempt, new.worker_id, new.retry_count, new.priority, new.position, new.suspect);
    return null;
end $$;
create constraint trigger audit after insert or update or delete on v7.jobs
    deferrable initially deferred for each row execute function audit.note('job');
create constraint trigger audit after insert on v7.finished_jobs
    deferrable initially deferred for each row execute function audit.note('finished');
grant usage on schema audit to public;
grant insert on audit.changes to public;
"""

# By a pattern and not by ->>, which fails for the whole query where one event holds \\u0000. Senders write n and do
# before anything else that could look like them.
ROWS = r"""
select id, substring(event_data::text from '"n" *: *([0-9]{1,18})')::bigint,
    substring(event_data::text from '"do" *: *"([^"]*)"'),
    encode(sha256(convert_to(event_data::text, 'UTF8')), 'hex'),
    event_type_id, priority, position, status, attempt, retry_count, max_retries, suspect
from v7.all_jobs order by id
"""
FAILURES = "select job_id, attempt, error_type, worker_id from v7.failures order by id"
CHANGES = """
select op, seq, xid, extract(epoch from wall)::float8, extract(epoch from began)::float8, id,
    old_status, old_attempt, old_worker, old_retry_count, old_priority, old_position,
    status, attempt, worker, retry_count, priority, position, suspect
from audit.changes order by seq
"""


class Clock(NamedTuple):
    """Maps the database's clock to that of the processes, on one machine.

    Where clocks jump in the run, `tolerance_seconds` says how far the two may be apart.
    """

    offset: float = 0.0
    tolerance_seconds: float = 0.0

    @classmethod
    def measured(cls, tolerance_seconds: float = 0.0) -> "Clock":
        return cls(time.time() - time.monotonic(), tolerance_seconds)

    def mono(self, wall: float) -> float:
        return wall - self.offset


def install(url: str) -> None:
    """Begin the audit of a migrated database. Every claim, end and enqueue is slower for it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(INSTALL)


def read(url: str) -> Tables:
    """What the database says, at one moment."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        rows = [Row(*values) for values in streamed(connection, ROWS)]
        failures = [Failure(*values) for values in streamed(connection, FAILURES)]
        changes = joined(streamed(connection, CHANGES))
    return Tables(rows, failures, changes)


def streamed(connection: psycopg.Connection[Any], statement: str) -> Any:
    with connection.cursor("streamed", binary=True) as cursor:
        cursor.itersize = 20_000
        cursor.execute(statement.encode())
        yield from cursor


def joined(noted: Any) -> list[Change]:
    """One change for each job that left for the history: there it is a deletion here, and an insertion there."""
    changes: list[Change] = []
    deleted: dict[tuple[str, int], int] = {}
    for op, *values in noted:
        change = Change(*values)
        place = deleted.pop((change.xid, change.id), None) if op == "finished" else None
        if place is not None:
            changes[place] = moved(changes[place], change)
            continue
        if change.status is None:
            deleted[change.xid, change.id] = len(changes)
        changes.append(change)
    return changes


def moved(left: Change, came: Change) -> Change:
    new = ("status", "attempt", "worker", "retry_count", "priority", "position", "suspect")
    return msgspec.structs.replace(left, **{name: getattr(came, name) for name in new})
