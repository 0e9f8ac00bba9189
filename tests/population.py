"""A database in which there is one of everything, for what only reads."""

import time

import psycopg

from .nodes import wait_until

HOSTILE = "\x1b[2J\x9b31m bold\u202e\n[red]not markup[/red] 🎈"
"""Moves the cursor, colours, turns the direction of the text, breaks the line; and is no markup."""
NUL_EVENT = '{"a": "\\u0000", "n": 12345678901234567890123, "x": 1E5, "x": -0.0}'
KEYS = {
    "queued": 1,
    "better": 2,
    "paused": 3,
    "unserved": 4,
    "scheduled": 5,
    "running": 6,
    "suspect": 7,
    "succeeded": 20,
    "cancelled": 21,
    "hostile": 41,
    "dead": 42,
}
"""What each job is, and its id."""

SCRIPT = """
insert into v7.workers (id, node_id, name, pid, token, version, concurrency, event_type_ids, heartbeat_at)
overriding system value values
    (1, null, 'alpha:100', 100, 'a', '0.1.0', 16, '{{1,5}}', now() + interval '1 hour'),
    (2, 1, 'alpha:101', 101, 'a', '0.1.0', 16, null, now()),
    (3, null, 'beta:100', 100, 'b', '0.1.0', 16, null, now() - interval '1 hour');
insert into v7.event_types (event_type_id, paused_at, paused_by) values
    (1, null, null), (5, now() - interval '1 hour', 'v7 types pause by someone@somewhere'), (6, null, null);

insert into v7.jobs (id, event_type_id, user_id, priority, event_data, queued_at, suspect) values
    (1, 1, 7, 3, {nul}, now() - interval '5 minutes', false),
    (2, 1, 7, -9223372036854775808, '[1, 2]', now() - interval '1 minute', false),
    (3, 5, 8, 0, '{{}}', now() - interval '2 hours', false),
    (4, 9, 8, 9223372036854775807, 'null', now() - interval '3 minutes', false),
    (7, 1, 8, 5, '"it was there"', now() - interval '3 minutes', true);
update v7.jobs set created_at = queued_at, queued_at = null where id = 4; -- as one that was added by hand
insert into v7.jobs (id, event_type_id, user_id, priority, event_data, status, run_at) values
    (5, 6, 7, 1, '{{}}', 'scheduled', now() + interval '1 hour');
insert into v7.jobs (id, event_type_id, user_id, priority, event_data, status, worker_id, attempt, claimed_at,
                     max_retries, queued_at) values
    (6, 1, 7, 1, '{{"order_id": 17}}', 'running', 2, 1, now() - interval '10 s', 5, now() - interval '11 s');
insert into v7.jobs (id, event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, last_error,
                     retry_count, max_retries, attempt, created_at) values
    (41, 1, 7, 1, {nul}, 'dead', now() - interval '1 s', {hostile}, 'ValueError: ' || {hostile}, 1, 5, 1, 'infinity'),
    (42, 5, 7, 1, '{{"amount": -1}}', 'dead', now(), 'max_retries reached', 'ValueError: second', 2, 2, 2, now());
insert into v7.failures (job_id, attempt, event_type_id, error_type, message, traceback, worker_id, worker) values
    (42, 1, 5, 'ValueError', 'first', 'Traceback: one', 2, 'alpha:101'),
    (42, 2, 5, 'ValueError', 'second', E'Traceback:\\n  two', 2, 'alpha:101'),
    (41, 1, 1, 'ValueError', {hostile}, {hostile}, 2, 'alpha:101');
insert into v7.finished_jobs (id, event_type_id, user_id, priority, event_data, correlation_id, status, position,
    retry_count, max_retries, attempt, worker_id, suspect, created_at, queued_at, claimed_at, finished_at) values
    (20, 1, 7, 1, {nul}, 'request-20', 'succeeded', 1, 0, 5, 1, 2, false, now() - interval '9 s',
     now() - interval '9 s', now() - interval '8 s', now() - interval '2 s'),
    (21, 1, 7, 1, '{{}}', 'request-21', 'cancelled', 2, 0, null, 0, null, false, now() - interval '9 s',
     now() - interval '9 s', null, now() - interval '1 s');
select setval('v7.jobs_id_seq', 1000);
"""
ACTS = """
insert into v7.operations (id, act, filter, who, through, status, last_id, seen_id, done, created_at, started_at,
    finished_at, carried_by, carried_at) overriding system value values
    (6, 'redrive', '{"event_type_id": 5, "error": "timeout"}', 'ann@alpha', 'cli', 'done', 40, 40, 3,
     now() - interval '1 hour', now() - interval '1 hour', now() - interval '59 minutes', 'alpha:100:1f2e3d4c', now()),
    (7, 'cancel', '{"status": "queued", "event_type_id": 6}', 'admin', 'api', 'running', 1000, 42, 0,
     now() - interval '1 minute', now() - interval '1 minute', null, 'alpha:100:1f2e3d4c', now() + interval '1 hour');
insert into v7.audit (at, who, through, act, job_id, event_type_id, operation_id, filter, given, jobs) values
    (now() - interval '1 hour', 'ann@alpha', 'cli', 'redrive', null, null, 6,
     '{"event_type_id": 5, "error": "timeout"}', null, 3),
    (now() - interval '1 hour', 'someone@somewhere', 'cli', 'pause', null, 5, null, null,
     '{"paused_by": "v7 types pause by someone@somewhere"}', null),
    (now() - interval '1 minute', 'admin', 'api', 'cancel', null, null, 7,
     '{"status": "queued", "event_type_id": 6}', null, null),
    (now() - interval '1 s', 'admin', 'api', 'cancel', 21, null, null, null, null, 1);
select setval('v7.operations_id_seq', 7);
"""


def populate(url: str) -> None:
    """One of everything, under the ids of KEYS."""
    from psycopg import sql

    values = {"nul": NUL_EVENT, "hostile": HOSTILE}
    with psycopg.connect(url) as connection:
        script = sql.SQL(SCRIPT).format(**{name: sql.Literal(value) for name, value in values.items()})
        connection.execute(script)
        if connection.execute("select to_regclass('v7.operations')").fetchone() != (None,):  # of a schema that has it
            connection.execute(ACTS)


def fail_often(url: str, job_id: int, count: int) -> None:
    """A job that has failed for weeks."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into v7.failures (job_id, attempt, event_type_id, error_type, message, worker_id, worker) "
            "select %s, n, 1, 'ValueError', 'number ' || n, 2, 'alpha:101' from generate_series(1, %s) n",
            [job_id, count],
        )


def note_minutes(url: str) -> None:
    """The minute that has just ended, in which ten events came; and nothing else, whatever a process has noted by now.

    A process notes the next minute as it begins, so this waits for one that goes on for as long as a test looks.
    """
    wait_until(lambda: time.time() % 60 < 50, "the next minute begins")
    with psycopg.connect(url) as connection:
        connection.execute("lock table v7.minutes in share row exclusive mode")
        connection.execute("delete from v7.minutes")
        connection.execute(
            "insert into v7.minutes (minute, received, succeeded, failed, dead, retried, counts) "
            "select date_trunc('minute', now(), 'UTC') - (1 - i) * interval '1 min', 10 * i, 8 * i, 2 * i, i, i, '{}' "
            "from generate_series(0, 1) i"
        )
