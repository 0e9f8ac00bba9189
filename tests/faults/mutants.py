"""Products from which one promise was taken, each by a change of a line or two, and the disaster that shows it."""

import shutil
from pathlib import Path
from typing import NamedTuple

from . import scenarios
from .scenarios import Scenario

APP = Path(__file__).parents[2] / "app"


class Change(NamedTuple):
    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    name: str
    scenario: Scenario
    changes: list[Change]
    caught_by: set[str]
    """Checks of the ledger of which at least one must find something."""


def after(file: str, line: str, added: str) -> Change:
    return Change(file, line, line + added)


def make(mutant: Mutant, folder: Path) -> Path:
    """The mutated product, to be put on the path before the real one."""
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, old, new in mutant.changes:
        path = folder / "v7_task_processor" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{mutant.name}: {file} has changed; it must say once: {old}"
        path.write_text(text.replace(old, new))
    migrations = folder.parent / "migrations"
    if not migrations.exists():
        migrations.symlink_to(APP.parent / "migrations")
    return folder


MUTANTS = [
    Mutant(
        "it answers before the commit",
        scenarios.postgres_is_killed_under_load,
        [
            after(
                "web/commit.py",
                "add_notice_handler(self.noticed)\n",
                "        await connection.set_autocommit(False)\n",
            ),
            after(
                "web/commit.py",
                "                each.tell(outcome)\n",
                "            await asyncio.sleep(0.2)\n            await connection.commit()\n",
            ),
        ],
        {"L1"},
    ),
    Mutant(
        "it acknowledges what is not flushed",
        scenarios.postgres_is_killed_under_load,
        [Change(f"sql/{name}.sql", "else 'on' end", "else 'off' end") for name in ("enqueue", "enqueue_once")],
        {"L1"},
    ),
    Mutant(
        "it completes by the id alone",
        scenarios.a_frozen_node_wakes_while_its_jobs_run_elsewhere,
        [
            Change("sql/complete.sql", "and worker_id = :worker_id::bigint", "and :worker_id::bigint > 0"),
            Change(
                "sql/complete.sql",
                "((id, attempt) in (select * from unnest(:ids::bigint[], :attempts::integer[]))) is true",
                ":attempts::integer[] is not null",
            ),
        ],
        {"L6"},
    ),
    Mutant(
        "it lets a handler end the interpreter",
        scenarios.handlers_end_the_interpreter_beside_others,
        [Change("worker/tasks.py", "except BaseException as error:  # SystemExit", "except Exception as error:  #")],
        {"L8", "L9", "L11"},
    ),
    Mutant(
        "it keeps its identity over a break, and asks for nothing",
        scenarios.answers_of_claims_are_lost,
        [
            Change(
                "worker/session.py",
                "            worker_id = await self.register(records)\n",
                "            worker_id = self.worker_id or await self.register(records)\n",
            ),
            Change(
                "worker/session.py", "        known = self.holds()\n", "        return\n        known = self.holds()\n"
            ),
            Change("worker/session.py", "        if self.earlier:\n", "        if False:\n"),
        ],
        {"L2", "L13"},
    ),
    Mutant(
        "it keeps its frontier over a break",
        scenarios.a_crash_takes_positions_back,
        [
            Change(
                "worker/scheduler.py",
                "self.generation, self.cursor = self.session.generation, Cursor()",
                "self.generation = self.session.generation",
            ),
            # Else it looks everywhere every 20 ms where the queue is short, and nothing comes of it.
            Change("worker/frontier.py", "PLAIN_SHARE = 20\n", "PLAIN_SHARE = 100_000\n"),
            Change("worker/frontier.py", "= 30.0\n", f"= {scenarios.MUTANT_PLAIN_SECONDS}\n"),
            Change(
                "worker/frontier.py",
                "        if self.everywhere:\n",
                "        if False:\n",
            ),
        ],
        {"L12"},
    ),
    Mutant(
        "it rescues by the age of a heartbeat",
        scenarios.all_are_cut_off_and_come_back_one_after_the_other,
        [
            Change(
                "worker/node.py",
                "            if time - since >= LOST_SECONDS:\n",
                "            import datetime as dt\n\n"
                "            if (dt.datetime.now(dt.UTC) - node.heartbeat_at).total_seconds() >= LOST_SECONDS:\n",
            )
        ],
        {"L8", "L9"},
    ),
]
