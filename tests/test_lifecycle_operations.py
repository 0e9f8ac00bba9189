"""Operations beside real nodes: killed in the middle, two at once, and with none there."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .command import answer
from .nodes import Node, wait_until

JOBS = 8_000
DEAD = """
insert into v7.jobs (event_type_id, user_id, priority, event_data, status, dead_at, dead_reason, retry_count)
select 5, 1, 1, '{}', 'dead', now(), 'x', 5 from generate_series(1, %s)"""
TRACE = f"""
create table redriven (id bigint);
create function note() returns trigger language plpgsql as $$ begin
    if new.id = {JOBS // 2} then
        perform pg_advisory_xact_lock(1);
    end if;
    insert into redriven values (new.id); return null; end $$;
create trigger note after update on v7.jobs for each row
    when (old.status = 'dead' and new.status = 'queued') execute function note()"""


@pytest.fixture
def watching(database_url: str) -> Iterator["psycopg.Connection[Any]"]:
    """With a table in which each redrive leaves a row, whatever its operation says of itself."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(DEAD, [JOBS])
        connection.execute(TRACE)
        connection.execute("insert into v7.event_types (event_type_id, paused_at, paused_by) values (5, now(), 'test')")
        yield connection


def value(connection: "psycopg.Connection[Any]", query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def each_was_redriven_once(connection: "psycopg.Connection[Any]") -> None:
    ended = "select status from v7.operations where finished_at is not null"
    wait_until(lambda: value(connection, ended), "the operation has ended")
    assert connection.execute("select status, done, skipped from v7.operations").fetchall() == [("done", JOBS, 0)]
    assert connection.execute("select count(*), count(distinct id) from redriven").fetchone() == (JOBS, JOBS)
    assert value(connection, "select jobs from v7.audit") == JOBS


@contextlib.contextmanager
def held_half_way(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Nobody gets past the middle."""
    connection.execute("select pg_advisory_lock(1)")
    yield
    assert value(connection, "select finished_at is null from v7.operations"), "somebody did"
    connection.execute("select pg_advisory_unlock(1)")


def some_way_in(connection: "psycopg.Connection[Any]") -> bool:
    return bool(value(connection, "select done > 0 and finished_at is null from v7.operations"))


@pytest.mark.slow
def test_nodes_that_are_killed_in_the_middle_of_one(
    tmp_path: Path, database_url: str, watching: "psycopg.Connection[Any]"
) -> None:
    nodes = [Node(tmp_path / name, database_url).start() for name in ("first", "second")]
    workers = "select count(*) from v7.workers where node_id is not null"
    wait_until(lambda: value(watching, workers) >= 2, "both have workers")
    with held_half_way(watching):
        watching.execute("""insert into v7.operations (act, filter, who, through, last_id)
            select 'redrive', '{"status": "dead"}', 'test', 'cli', last_value from v7.jobs_id_seq""")
        watching.execute("""insert into v7.audit (who, through, act, operation_id)
            select who, through, act, id from v7.operations""")
        wait_until(lambda: some_way_in(watching), "it is at work")
        for node in nodes:
            node.kill_tree()
    third = Node(tmp_path / "third", database_url).start()
    try:
        each_was_redriven_once(watching)
    finally:
        third.kill_tree()


@pytest.mark.slow
def test_a_command_that_is_killed_leaves_it_to_the_next_node(
    tmp_path: Path, database_url: str, watching: "psycopg.Connection[Any]"
) -> None:
    command = [sys.executable, "-P", "-m", "v7_task_processor.cli", "dead", "redrive", "--all", "--yes"]
    with held_half_way(watching):
        process = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": database_url})
        wait_until(lambda: some_way_in(watching), "it is at work")
        process.send_signal(signal.SIGKILL)
        process.wait()
    node = Node(tmp_path / "node", database_url, V7_WORKER_PROCESSES=1).start()
    try:
        each_was_redriven_once(watching)
    finally:
        node.kill_tree()


@pytest.mark.slow
def test_an_operation_begun_over_http_is_carried_out_by_a_node_without_workers(
    tmp_path: Path, database_url: str, watching: "psycopg.Connection[Any]"
) -> None:
    node = Node(tmp_path / "node", database_url).start("api")
    try:
        host, port = node.address()
        with contextlib.closing(http.client.HTTPConnection(host, port, timeout=60)) as client:
            body = json.dumps({"event_type_id": 5})
            client.request("POST", "/api/jobs/v1/redrive", body, {"Content-Type": "application/json"})
            begun = json.loads(client.getresponse().read())["operation"]
        each_was_redriven_once(watching)
        assert answer("operations", "show", begun["id"], url=database_url)["done"] == JOBS
    finally:
        node.kill_tree()
