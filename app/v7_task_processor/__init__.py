"""An event processor on Postgres: durable, in priority order, nothing hidden.

from v7_task_processor import Discard, Job, Snooze, handler
"""

from .handlers import handler
from .job import Discard, Job, Snooze

__version__ = "0.1.0"
__all__ = ["Discard", "Job", "Snooze", "handler"]
