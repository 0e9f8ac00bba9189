"""One job's story, for people."""

import click

from ..listing import EARLIER_MAX, Detail, FailureRow, JobRow
from ..text import clock, cut, plain, plain_lines, plural
from .table import STYLES

EVENT_CHARS_MAX = 4000


def tell(detail: Detail) -> None:
    """Print what happened to a job, in order, and its last failure in full."""
    job = detail.job
    for label, says in facts(job):
        click.echo(f"{click.style(label.ljust(12), bold=True)} {says}")
    click.echo(f"\n{click.style('event_data', bold=True)}\n{plain_lines(cut(job.event_json, EVENT_CHARS_MAX))}")
    if len(job.event_json) > EVENT_CHARS_MAX:
        click.echo(f"({len(job.event_json):,} characters; --json shows all)")
    if detail.earlier_failures:
        click.echo(f"\n{earlier(detail)}")
    for failure in detail.failures:
        click.echo(f"\n{failed(failure, in_full=failure is detail.failures[-1])}")
    if detail.log:
        click.echo(f"\n{logged(detail.log)}")


def facts(job: JobRow) -> list[tuple[str, str]]:
    limit = "" if job.max_retries is None else f" of {job.max_retries}"
    known: list[tuple[str, str | None]] = [
        ("job", str(job.id)),
        ("status", styled(job.status) + (", a suspect: it runs alone" if job.suspect else "")),
        ("dead because", job.dead_reason and plain(job.dead_reason)),
        ("type", str(job.event_type_id)),
        ("user", str(job.user_id)),
        ("priority", str(job.priority)),
        ("failures", f"{job.retry_count}{limit}, in {job.attempt} attempts"),
        ("request", plain(job.correlation_id)),
        ("trace", job.traceparent and plain(job.traceparent)),
        ("worker", worker(job)),
    ]
    times = [
        ("created", job.created_at),
        ("queued", job.queued_at),
        ("due", job.run_at),
        ("claimed", job.claimed_at),
        ("died", job.dead_at),
        ("finished", job.finished_at),
    ]
    known += [(label, clock(time)) for label, time in times if time is not None]
    return [(label, says) for label, says in known if says]


def worker(job: JobRow) -> str | None:
    if job.worker_id is None:
        return None
    return f"{job.worker_id}, {plain(job.worker)}" if job.worker else f"{job.worker_id}, which is gone"


def failed(failure: FailureRow, *, in_full: bool) -> str:
    head = click.style(f"attempt {failure.attempt} failed", bold=True)
    says = f"{failure.error_type}: {failure.message}"
    if in_full and failure.traceback:
        says = failure.traceback.rstrip()
    story = f"{head} {clock(failure.failed_at)} on {plain(failure.worker)}\n{plain_lines(says)}"
    return f"{story}\n{logged(failure.log)}" if failure.log else story


def earlier(detail: Detail) -> str:
    count = f"{'at least ' * (detail.earlier_failures == EARLIER_MAX)}{plural(detail.earlier_failures, 'attempt')}"
    shows = f"select * from v7.failures where job_id = {detail.job.id} order by attempt"  # noqa: S608 (it is shown, not run)
    return f"Before these {count} failed: {shows}"


def logged(log: str) -> str:
    return f"{click.style('it logged', bold=True)}\n{plain_lines(log)}"


def styled(status: str) -> str:
    style = STYLES.get(status, "")
    return click.style(status, dim=True) if style == "dim" else click.style(status, fg=style or None)
