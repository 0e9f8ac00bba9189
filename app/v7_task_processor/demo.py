"""The handler that runs where V7_HANDLERS names none: it logs each event, so that one sees it pass."""

from .handlers import handler
from .job import Job
from .observability import logs

log = logs.get("demo")


@handler()
async def demo(job: Job) -> None:
    """Log the event. With `{"fail": "why"}` as event_data it fails, to show retries and dead letters."""
    if isinstance(job.event_data, dict) and "fail" in job.event_data:
        raise RuntimeError(str(job.event_data["fail"]))
    log.info("event", event_type_id=job.event_type_id, priority=job.priority, event_data=job.event_json[:200])
