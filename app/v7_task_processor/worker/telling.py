"""What is told of how attempts ended, in logs and metrics."""

from collections.abc import Sequence

from ..observability import logs, telemetry
from ..queue import Failure
from .outcome import Ended


def named(ended: Sequence[Ended]) -> list[dict[str, object]]:
    """What names each in its line of the log."""
    return [{**logs.named(each.job), "event_type_id": each.job.event_type_id} for each in ended]


def first_line(text: str) -> str:
    return text.partition("\n")[0]


def tell_ended(outcome: str, ended: Sequence[Ended]) -> None:
    """What handlers did, for metrics; also where the word of it came too late."""
    if ended:
        telemetry.publish(
            "attempts.ended", outcome=outcome, ended=[(each.job.event_type_id, each.seconds) for each in ended]
        )


def tell(ended: Ended, failure: Failure, status: str, retry_count: int) -> None:
    job = ended.job
    telemetry.publish(
        "job.dead" if status == "dead" else "job.failed",
        job_id=job.id,
        event_type_id=job.event_type_id,
        correlation_id=job.correlation_id,
        attempt=job.attempt,
        retry_count=retry_count,
        max_retries=job.max_retries,
        # One line: what follows the first is, of an error of Postgres', the row that it was about.
        error=f"{failure.error_type}: {first_line(failure.message)[:200]}",
        **({} if status == "dead" else {"again_in": round(failure.delay_seconds, 2)}),
    )
