"""What parameters and fields mean: what the tables' columns say of themselves, and here what is in no table."""

from typing import Any

from ...schema import event_types, failures, finished_jobs, workers

COLUMNS = {
    "JobRow": finished_jobs,
    "JobDetail": finished_jobs,
    "FailureRow": failures,
    "NodeRow": workers,
    "WorkerRow": workers,
    "TypeRow": event_types,
    "Acted": finished_jobs,
    "Pause": event_types,
    "Priority": finished_jobs,
    "RunningRow": finished_jobs,
    "TypeState": event_types,
}
"""Which table's columns the fields of a type are, where they have the same name."""
WORDS = {
    "age_seconds": "How long it has waited.",
    "alive": "False: its heartbeat stands still, and others take over its jobs.",
    "at_least": "True: more were there than were looked at, and the oldest may be older.",
    "beat_age_seconds": "How long ago its last heartbeat was.",
    "cancelled": "Jobs that were cancelled.",
    "capped": "Counts that stopped at 10,000: there are more.",
    "dead": "Jobs that failed for good: dead letters.",
    "detail": "What it was this time, and what to do.",
    "event_data": "The event, as it was sent.",
    "event_json": "The event as a text; in lists its first 1,000 characters.",
    "event_type_ids": "The types that it has handlers for; null: all.",
    "event_types": "Types, in the order of their numbers.",
    "failed_attempts": "Attempts that failed.",
    "failures": "Every attempt that failed, the first one first.",
    "event_type_id": "The number of the type.",
    "id": "Its job.",
    "ids": "Their jobs, in the order of the events.",
    "jobs": "Jobs.",
    "known": "Whether it has a row in the table event_types.",
    "last_hour": "What ended in the last hour.",
    "last_minute": "What ended in the last minute.",
    "next_after": "What to give as `after` for the next page; null: there is none.",
    "nodes": "Nodes: each is one machine or container that runs v7.",
    "nodes_lost": "How many of them have no heartbeat.",
    "now": "The database's clock.",
    "oldest": "Who waits longest.",
    "paused": "Types that are paused.",
    "queued_at": "When it began to wait.",
    "queued": "Jobs that wait for a worker.",
    "results": "One for each event, in their order: `id` where it was added, else `error`, which says why.",
    "run_at": "When it is due, with its zone.",
    "running": "Jobs that a worker has.",
    "scheduled": "Jobs that wait for their time: for their first, or to be tried again.",
    "seconds": "How many seconds.",
    "served": "Whether a node that lives has a handler for it.",
    "status": "Where the job stands.",
    "succeeded": "Jobs that were handled.",
    "succeeded_per_second": "The same, a second.",
    "title": "What all problems of the type have in common.",
    "type": "The kind of problem, for programs.",
    "unserved": "Types with queued jobs that no node that lives has a handler for.",
    "worker": "Its worker's name.",
    "workers": "Processes that run handlers.",
}
PARAMETERS = {
    "after": "Go on after this one: the last page's `next_after`.",
    "attempt_min": "At this attempt or a later one.",
    "correlation_id": "Exactly this X-Request-Id.",
    "created_from": "Created then or later.",
    "created_until": "Created before then.",
    "event_type_id": "Of this type.",
    "finished_from": "Finished then or later.",
    "finished_until": "Finished before then.",
    "id": "The number in the path.",
    "limit": "How many, at most.",
    "priority_max": "Of this priority or a smaller number.",
    "priority_min": "Of this priority or a larger number.",
    "status": "In this status.",
    "user_id": "Of this user.",
}


def explain(schemas: dict[str, Any]) -> None:
    """Give each field of these schemas a description, and times their format."""
    for name, schema in schemas.items():
        schema["description"] = " ".join(schema.get("description", "").split())
        table = COLUMNS.get(name)
        for field, found in schema.get("properties", {}).items():
            comment = table.c[field].comment if table is not None and field in table.c else None
            if says := found.get("description") or comment or WORDS.get(field):
                found["description"] = says
            if field.endswith("_at") or field == "now":
                for each in found.get("anyOf", [found]):
                    each |= {"format": "date-time"} if each.get("type") == "string" else {}
