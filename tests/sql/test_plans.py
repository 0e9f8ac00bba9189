"""Plans of the statements, as the sessions that run them get them.

A session plans a statement once, on whatever table it finds, and keeps that plan: the one that is made on an empty
table after a quiet night must be right for the hundred thousand jobs that come then. So each plan must reach `jobs`
by the index that serves it, on every kind of table.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from v7_task_processor import operations
from v7_task_processor.chosen import Chosen
from v7_task_processor.queue import Statement
from v7_task_processor.worker.session import CLAIMS, HOT

from ..support import shared_database

FILL = """
insert into v7.jobs (event_type_id, user_id, priority, event_data, queued_at)
    select n % 10, 1, n % 7, '{}', now() from generate_series(1, 20000) n;
insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason)
    select n % 10, 1, n % 7, '{}', 'dead', now(), 'x' from generate_series(1, 500) n;
insert into v7.jobs (event_type_id, user_id, priority, event_data, status, run_at)
    select n % 10, 1, n % 7, '{}', 'scheduled', now() from generate_series(1, 500) n;
insert into v7.failures (job_id, attempt, event_type_id, error_type, message, worker_id, worker)
    select n, 1, 1, 'E', 'm', 1, 'w' from generate_series(1, 500) n;
"""
TABLES = {
    "never filled": "",
    "empty since long": "vacuum analyze v7.jobs; vacuum analyze v7.failures",
    "full": FILL + "analyze v7.jobs; analyze v7.failures",
    "full by surprise": "vacuum analyze v7.jobs; " + FILL,
    "just drained": FILL + "analyze v7.jobs; analyze v7.failures; delete from v7.jobs where status = 'queued'",
    "drained": FILL + "delete from v7.jobs where status = 'queued'; analyze v7.jobs; analyze v7.failures",
}
"""How the table came to be as it is. Nothing runs when statistics are taken, as after a quiet night."""
BATCH = 500
VALUES: dict[str, Any] = {
    "worker_id": 1,
    "worker": "w",
    "worker_ids": [1, 2],
    "node_id": 1,
    "batch": BATCH,
    "bytes_max": 8 * 2**20,
    "ids": list(range(1, BATCH + 1)),
    "attempts": [1] * BATCH,
    "delays_seconds": [1.0] * BATCH,
    "seconds": [1.0] * BATCH,
    **{name: ["x"] * BATCH for name in ("error_types", "messages", "tracebacks", "dead_reasons", "logs")},
    "suspects": [False] * BATCH,
    "suspect": False,
    "alone": True,
    "serves_all": True,
    **{name: [] for name in ("open_types", "closed_types", "limited_types", "type_limits", "passed_over")},
    "probed_types": [1, 2, 3],
    "counts": True,
    "after": "-infinity",
    "event_type_ids": [1, 2, 3],
    "priorities_max": 100,
    "suspects_max": 1000,
    "at_most": 1000,
    "after_id": 0,
    "first": 1,
    "max_retries": 5,
    "frontier_priority": 3,
    "frontier_position": 1000,
    "horizon": 1000,
    "retention_days": 7,
    "id": 1,
    "statuses": ["dead"],
    "run_at": "2100-01-01",
    "priority": 1,
    "event_data": "1",
    "event_type_id": None,
    "idle_seconds": 60.0,
    "types_max": 50,
    **dict.fromkeys(("received_family", "attempts_family", "dead_family", "retried_family"), "x"),
    **{name: ["x"] for name in ("families", "failed_outcomes", "acts", "filters")},
}
OTHERWISE: dict[str, dict[str, Any]] = {"queued_types": {"after": 1}}
LOOKED_UP = r"Index Scan using jobs_pkey on jobs\n\s+Index Cond: \(id = (given\.id|ANY \([^)]*\))\)"
ORDERED = r"Limit\n\s+->  LockRows\n\s+->  Index Scan using {} on jobs"
GATED = r"LockRows\n\s+->  Result\n\s+One-Time Filter: .*\n\s+->  Index Scan using {} on jobs"
BY_TYPE = r"{}\n\s+->  Index (?:Only )?Scan using jobs_queue_by_type on jobs jobs_\d\n\s+Index Cond: {}"
BY_CTID = r"TID Cond: \((?:{0}\.ctid = ctid|ctid = {0}\.ctid)\)"  # as Postgres 16 and 15 write it
EXPECTED = {
    "claim": [GATED.format("jobs_queue"), r"Index Scan using jobs_queue on jobs jobs_1\n\s+Index Cond: \(ROW\("],
    "claim_limited": [
        GATED.format("jobs_queue"),
        r"Index Scan using jobs_queue on jobs jobs_\d\n\s+Index Cond: \(ROW\(",
        r"using jobs_running on jobs",
        BY_TYPE.format("Limit", r"\(\(event_type_id >= .* \(event_type_id <= "),
        BY_TYPE.format("LockRows", r"\(\(event_type_id >= .*ROW\(event_type_id"),
        r"using event_types_limited on event_types",
        r"hashed SubPlan",
        r"Limit\n\s+->  Index Scan using jobs_suspect on jobs",
    ],
    "claim_suspect": [ORDERED.format("jobs_suspect"), r"using jobs_running on jobs"],
    "first_queued": [
        GATED.format("jobs_queue"),
        r"Index Scan using jobs_queue on jobs jobs_\d\n\s+Index Cond: \(ROW\(",
        r"using jobs_running on jobs",
        BY_TYPE.format("Limit", r"\(\(event_type_id >= .* \(event_type_id <= "),
        r"Index Scan using jobs_pkey on jobs jobs_\d\n\s+Index Cond: \(id = ANY",
        r"using event_types_limited on event_types",
    ],
    "first_suspect": [r"LockRows\n\s+->  Index Scan using jobs_suspect on jobs\n", r"using jobs_running on jobs"],
    "try_claim": [r"Index Scan using jobs_pkey on jobs\n\s+Index Cond: \(id = "],
    "complete": [LOOKED_UP],
    "complete_unkept": [LOOKED_UP],
    "complete_logged": [LOOKED_UP],
    "fail": [LOOKED_UP, BY_CTID.format("ending")],
    "snooze": [LOOKED_UP, BY_CTID.format("own")],
    "release": [LOOKED_UP],
    "taken_away": [r"Index Scan using jobs_pkey on jobs\n\s+Index Cond: \(id = given\.id\)"],
    "held": [r"Index Scan using jobs_running on jobs\n\s+Index Cond: \(worker_id = ANY"],
    "promote": [ORDERED.format("jobs_scheduled"), BY_CTID.format("due")],
    "first_due": [ORDERED.format("jobs_scheduled")],
    "next_due": [r"Limit\n\s+->  Index Only Scan using jobs_scheduled on jobs"],
    "orphans": [r"Index Scan using jobs_running on jobs"],
    "discover_event_types": [r"Limit\n\s+->  Index Only Scan using jobs_queue_by_type on jobs"],
    "suspects_wait": [r"Index Scan using jobs_suspect on jobs", r"using jobs_running on jobs"],
    "prune_failures": [r"Index Scan using failures_failed_at", r"using jobs_pkey on jobs\n\s+Index Cond: \(id ="],
    "prune_idempotency_keys": [r"using idempotency_keys_created_at", r"TID Cond: \(ctid = ANY"],
}
"""What must stand in the plan of each statement that workers and supervisors run."""


Planner = psycopg.Connection[Any]
MODES = ("force_generic_plan", "force_custom_plan")
"""Workers prepare for ever; behind some poolers and in a session's first calls plans are made for their values."""


@pytest.fixture(scope="module")
def planner(server_url: str, template: str) -> Iterator[Planner]:
    for url in shared_database(server_url, template):
        with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
            connection.execute("alter table v7.jobs set (autovacuum_enabled = false)")
            yield connection


def fill(planner: Planner, table: str) -> None:
    planner.execute("truncate v7.jobs, v7.failures restart identity")
    for statement in filter(str.strip, TABLES[table].split(";")):
        planner.execute(statement.encode())


@pytest.fixture(scope="module", params=TABLES)
def filled(planner: Planner, request: pytest.FixtureRequest) -> Planner:
    fill(planner, request.param)
    return planner


def prepared(planner: Planner, name: str) -> tuple[bytes, list[Any]]:
    """A call of a statement, and what to call it with."""
    statement = Statement(name)
    planner.execute(f"prepare {name} as {statement.text}".encode())
    arguments = [{**VALUES, **OTHERWISE.get(name, {})}[each] for each in statement.names]
    return f"execute {name}{'(' + ','.join(['%s'] * len(arguments)) + ')' if arguments else ''}".encode(), arguments


def plan(planner: Planner, name: str, session: dict[str, str], mode: str = MODES[0]) -> str:
    planner.execute("discard all")
    for setting, value in {**session, "plan_cache_mode": mode}.items():
        planner.execute("select set_config(%s, %s, false)", [setting, value])
    call, arguments = prepared(planner, name)
    return "\n".join(line for (line,) in planner.execute(b"explain (costs off) " + call, arguments or None))


def assert_good(found: str, expected: list[str]) -> None:
    for pattern in expected:
        assert re.search(pattern, found), f"no {pattern!r} in:\n{found}"
    for vice in (r"Seq Scan on (jobs|failures|idempotency_keys)\b", r"Join Filter: .*\bid = ", r"Bitmap", r"Hash Join"):
        assert not re.search(vice, found), f"{vice!r} in:\n{found}"


@pytest.mark.parametrize("name", EXPECTED)
def test_every_table_is_served_by_the_index_that_was_made_for_it(filled: Planner, name: str) -> None:
    for mode in MODES:
        assert_good(plan(filled, name, CLAIMS if name.startswith("claim") else HOT, mode), EXPECTED[name])


def test_completions_never_go_by_the_index_of_what_runs(filled: Planner) -> None:
    for name in ("complete", "complete_unkept", "complete_logged", "fail", "snooze", "release"):
        for session, mode in itertools.product((HOT, {}), MODES):
            assert "jobs_running" not in plan(filled, name, session, mode)


@pytest.mark.parametrize("name", ["oldest_by_type", "queued_types"])
def test_looks_at_the_queue_of_a_type_begin_with_it(filled: Planner, name: str) -> None:
    """Not with all that is to be taken before its jobs."""
    for mode in MODES:
        found = plan(filled, name, {}, mode)
        assert "using jobs_queue on jobs" not in found, found
        assert "using jobs_queue_by_type on jobs" in plan(filled, name, HOT, mode)


def test_a_claim_sorts_nothing(filled: Planner) -> None:
    assert "Sort" not in plan(filled, "claim", CLAIMS)


@pytest.mark.parametrize("name", ["claim", "claim_limited"])
@pytest.mark.parametrize("came", [0, 1])
def test_a_claim_reads_before_the_frontier_only_where_something_came_since(
    filled: Planner, name: str, came: int
) -> None:
    """With many priorities and an old snapshot all dead entries stand there."""
    filled.execute("discard all")
    call, arguments = prepared(filled, name)
    given = dict(zip(Statement(name).names, arguments, strict=True))
    (drawn,) = filled.execute("select last_value from v7.position").fetchone() or (0,)
    given |= {"frontier_priority": 2**62, "frontier_position": 1, "horizon": drawn - came}
    for setting, value in CLAIMS.items():
        filled.execute("select set_config(%s, %s, false)", [setting, value])
    with filled.transaction(force_rollback=True):
        lines = filled.execute(b"explain (analyze, costs off) " + call, list(given.values())).fetchall()
    found = "\n".join(line for (line,) in lines)
    fresh = found[found.index("CTE fresh") : found.index("CTE rest")]
    assert (re.search(r"Index Scan using jobs_queue.*never executed", fresh) is None) == bool(came), fresh


@pytest.mark.parametrize("name", ["cancel", "retry", "reschedule", "set_priority", "redrive_edited"])
def test_what_people_do_with_jobs_finds_them_by_their_ids(
    planner: Planner, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One, in sessions that plan each call anew for the table as it is then; and a batch of an operation."""
    for table in ("full", "full by surprise", "just drained"):
        fill(planner, table)
        monkeypatch.setitem(VALUES, "ids", list(range(1, BATCH + 1)))
        batch = plan(planner, name, operations.SESSION)
        monkeypatch.setitem(VALUES, "ids", [1])
        for found in (batch, plan(planner, name, {}, "force_custom_plan")):
            assert_good(found, [r"Index Scan using jobs_pkey on jobs\n\s+Index Cond: \(id = "])
            assert not re.search(r"jobs_(?!pkey|suspect)\w+ on jobs", found), found


@pytest.mark.parametrize("chosen", [{}, {"status": "dead"}, {"event_type_id": 3, "error": "x"}, {"user_id": 1}])
def test_an_operation_goes_through_the_table_by_id(
    planner: Planner, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, Any]
) -> None:
    """Whatever the filter: so that each batch reads as many rows as it may, and those that come next."""
    names = dict.fromkeys(Chosen.__struct_fields__) | chosen
    own = {"seen_id": 5000, "last_id": 21000, "held": [1, 2], "looked_max": operations.LOOKED_MAX}
    for value in {**names, **own, "statuses": ["dead"]}.items():
        monkeypatch.setitem(VALUES, *value)
    for table in ("full", "full by surprise", "just drained"):
        fill(planner, table)
        found = plan(planner, "pick", operations.SESSION)
        in_order = r"Limit\n\s+->  Index (Only )?Scan using jobs_pkey on jobs\S*( jobs_\d)?\n\s+Index Cond: \(\(id > "
        assert len(re.findall(in_order, found)) == 2, found
        assert not re.search(r"Seq Scan on jobs|jobs_(queue|dead)", found), found


def test_a_plan_made_on_an_empty_table_is_still_right_when_it_is_full(planner: Planner) -> None:
    """One session, as a worker's: it plans before the events come, and runs the same plans after."""
    fill(planner, "empty since long")
    planner.execute("discard all")
    for setting, value in HOT.items():
        planner.execute("select set_config(%s, %s, false)", [setting, value])
    calls = [prepared(planner, name) for name in ("complete", "fail", "snooze", "release", "promote")]
    for call, arguments in calls:
        planner.execute(call, arguments)
    for statement in filter(str.strip, FILL.split(";")):
        planner.execute(statement.encode())
    for call, arguments in calls:
        lines = planner.execute(b"explain (analyze, timing off) " + call, arguments)
        read_in_vain = [int(each) for (line,) in lines for each in re.findall(r"Rows Removed.*: (\d+)", line)]
        assert max(read_in_vain, default=0) <= BATCH, call  # not the 20,000 that wait


def test_which_types_came_first_is_read_from_an_index(planner: Planner) -> None:
    """There may be a hundred thousand, and each fold and each scrape asks."""
    fill(planner, "never filled")
    planner.execute("insert into v7.event_types (event_type_id) select generate_series(1, 20000)")
    planner.execute("analyze v7.event_types")
    for name, session, mode in itertools.product(("named_types", "fold_counts", "note_minute"), (HOT, {}), MODES):
        assert "using event_types_created_at on event_types" in plan(planner, name, session, mode)
    planner.execute("delete from v7.event_types")
