"""`v7 doctor`: whether all that must hold does."""

import click

from ..settings import Settings
from ..text import plain_lines
from .checks import Check, examine
from .options import DATABASE, examples, json_option, settings_options
from .output import document

MARKS = {"holds": ("✓", "green"), "note": ("!", "yellow"), "fails": ("✗", "red")}


@click.command(epilog=examples("v7 doctor", "v7 doctor --json | jq '.checks[] | select(.state == \"fails\")'"))
@json_option
@settings_options(*DATABASE, "handlers")
def doctor(settings: Settings, as_json: bool) -> int:
    """Look at each thing that must hold, and say what to do where it does not.

    ✓ holds, ! is a note, ✗ fails. Exits with 0 if nothing fails, else with 1.
    """
    checks = []
    for check in examine(settings):
        checks.append(check)
        if not as_json:
            show(check)
    failed = any(check.state == "fails" for check in checks)
    if as_json:
        document({"ok": not failed, "checks": checks})
    return 1 if failed else 0


def show(check: Check) -> None:
    mark, colour = MARKS[check.state]
    click.echo(f"{click.style(mark, fg=colour, bold=True)} {check.name.ljust(18)} {indented(check.says)}")
    if check.todo and check.state != "holds":
        click.echo(f"{' ' * 20} → {indented(check.todo)}")


def indented(text: str) -> str:
    return plain_lines(text).replace("\n", f"\n{' ' * 21}")
