"""Jobs that would break a page which shows them as they are."""

import json

import psycopg

from ...population import HOSTILE

SCRIPT = "</pre></script><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
LARGE, SCRIPTED, TURNED, TRACED, DEEP, WIDE = range(101, 107)
LINES = 5000
TYPES = 1_000_000
TRACE = "Traceback (most recent call last):\n" + '  File "<script>", line 1, in <b>\n' * LINES + "RecursionError: deep"
EVENTS = {
    LARGE: json.dumps({"text": "x" * 2**20}),
    SCRIPTED: json.dumps({SCRIPT: SCRIPT, "'\"><script>": [SCRIPT]}),
    TURNED: json.dumps({"\u202eturned": HOSTILE, "שלום": "שלום עולם", "a" + "\u0300" * 300: 1}, ensure_ascii=False),
    TRACED: "{}",
    DEEP: "[" * 400 + "]" * 400,
    WIDE: json.dumps({f"k{n}": "W" * 300 for n in range(500)}),
}


def spoil(url: str) -> None:
    """Put them among the dead letters."""
    with psycopg.connect(url) as connection:
        for job_id, event in EVENTS.items():
            error = f"{SCRIPT}{HOSTILE}: {'e' * 900} {SCRIPT}"
            connection.execute(
                """insert into v7.jobs (id, event_type_id, user_id, priority, event_data, correlation_id, status,
                   dead_at, dead_reason, last_error, retry_count, max_retries, attempt)
                   values (%s, %s, -9223372036854775808, 9223372036854775807, %s::json, %s, 'dead',
                   now(), %s, %s, 1, 1, 1)""",
                [job_id, 2**63 - job_id, event, SCRIPT, SCRIPT, error],
            )
            connection.execute(
                """insert into v7.failures
                   (job_id, attempt, event_type_id, error_type, message, traceback, worker_id, worker)
                   values (%s, 1, 1, %s, %s, %s, 1, %s)""",
                [job_id, SCRIPT, SCRIPT + HOSTILE, TRACE, SCRIPT],
            )
