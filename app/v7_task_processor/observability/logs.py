"""Logs, to stderr: for people in colours, or a JSON object a line. The user's own `logging` comes out alike."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

import structlog

from ..job import Job
from ..redaction import Names, masked_fields, redacted
from ..settings import Settings
from . import telemetry
from .journal import Journals, running
from .lines import Lines
from .seldom import Flood

LEVELS = {
    "job.claimed": "debug",
    "job.completed": "debug",
    "job.enqueued": "debug",
    "job.released": "debug",
    "job.snoozed": "debug",
    "job.failed": "warning",
    "job.dead": "error",
    "job.taken_away": "warning",
    "job.rescued": "warning",
    "node.lost": "error",
    "node.rescued": "warning",
    "server.changed": "warning",
    "worker.crashed": "error",
    "worker.stuck": "error",
}


NEEDED = ("event", "exc_info", "level", "timestamp")
"""Fields of a line that are the logging's own."""
MEASURED = ("attempts.ended", "attempts.rescued", "events.answered", "events.committed", "jobs.claimed", "jobs.started")
"""What is only for metrics."""


def get(name: str) -> Any:
    """A logger: `log.info("what happened", key=value)`."""
    return structlog.stdlib.get_logger(name)


def shared(settings: Settings) -> list[Any]:
    """What is done to each line, whoever logs it."""
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        *([Redactor(settings.redacted)] if settings.redacted else []),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def configure(settings: Settings) -> None:
    """Set up this process. Call once, first."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            add_job,
            *shared(settings),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderers = [console(colors=sys.stderr.isatty())]
    if settings.log_format == "json":
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    stream = Lines(sys.stderr.fileno())
    stream.setFormatter(formatter([add_job, *shared(settings)], renderers))
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(settings.log_level.upper())
    logging.raiseExceptions = False  # a log line that cannot be written must not become two
    telemetry.subscribe(log_transition)


def keep_with_attempts(settings: Settings) -> None:
    """Have what is logged during an attempt kept with it as well, as people read it. After `configure`."""
    journals = Journals()
    journals.setFormatter(formatter(shared(settings), [leave_out_job, console(colors=False)]))
    logging.getLogger().addHandler(journals)


def console(*, colors: bool) -> Any:
    return structlog.dev.ConsoleRenderer(
        colors=colors,
        pad_event_to=0,
        exception_formatter=structlog.dev.plain_traceback,  # the other one shows local variables: passwords, events
    )


def formatter(foreign: list[Any], renderers: list[Any]) -> logging.Formatter:
    """`foreign` is done to what does not come through structlog."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=foreign,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )


def said(error: BaseException) -> str:
    """What an error says, for a line. Of an error of Postgres' its message alone: the details that follow it hold
    whole rows, and with them events."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return primary or str(error).strip() or type(error).__name__


def say(text: str) -> None:
    """Have a text for people written as it is, among the lines; like them it holds up nobody."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, Lines):
            handler.say(text)


def flush() -> None:
    """Have what is logged written, within a moment; before an end that does not do it by itself."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def add_job(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    attempt = running.get()
    if attempt is not None:
        for name, value in named(attempt.job).items():
            event.setdefault(name, value)
        if attempt.span is not None:
            event.setdefault("trace_id", attempt.span.trace_id)
    return event


class Redactor:
    """Masks what V7_REDACT names: in the fields of a line, and in events among them. What a handler puts into its
    words, or prints, is its own."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if name in ("event_data", "event_json") and isinstance(value, str):
                event[name] = redacted(value, self.names)
            elif name not in NEEDED and not name.startswith("_"):
                event[name] = masked_fields({name: value}, self.names)[name]
        return event


def leave_out_job(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Of a line that is kept with its attempt."""
    attempt = running.get()
    if attempt is not None:
        for name, value in named(attempt.job).items():
            if event.get(name) == value:
                del event[name]
    return event


def named(job: Job) -> dict[str, object]:
    """What names an attempt in a line."""
    return {"job_id": job.id, "attempt": job.attempt, "correlation_id": job.correlation_id}


TRANSITIONS = "v7"
"""The logger's name."""
_transitions = get(TRANSITIONS)
flood = Flood()
FLOODS = ("job.failed", "job.dead")
"""Where a service is down, thousands of jobs fail for it in a second; all of them stand in v7.failures."""
Each = Callable[[], Iterable[Mapping[str, object]]]
"""What names each job of a batch in its line."""


def log_transition(event: str, fields: Mapping[str, object]) -> None:
    """The telemetry subscriber. A line for each job of a batch, where such lines are wanted at all."""
    if event in MEASURED:
        return
    level = LEVELS.get(event, "info")
    if not logging.getLogger(TRANSITIONS).isEnabledFor(logging.getLevelNamesMapping()[level.upper()]):
        return
    told = dict(fields)
    each: Each | None = told.pop("each", None)  # type: ignore[assignment]
    lines: Iterable[dict[str, object]] = [told]
    if each is not None:
        told.pop("count", None)
        lines = ({**named, **told} for named in each())
    for line in lines:
        if event in FLOODS and not flood.lets(line, event, line["event_type_id"], str(line["error"]).partition(":")[0]):
            continue
        getattr(_transitions, level)(event, **line)
