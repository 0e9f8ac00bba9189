"""What parameters and fields mean: what the tables' columns say of themselves, and here what is in no table."""

from typing import Any

from ...schema import audit, event_types, failures, finished_jobs, operations, workers

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
    "TypeLimit": event_types,
    "LimitState": event_types,
    "NodeState": workers,
    "Drain": workers,
    "OperationRow": operations,
    "ActRow": audit,
}
"""Which table's columns the fields of a type are, where they have the same name."""
WORDS = {
    "acts": "What people did, the last first.",
    "age_seconds": "How long it has waited.",
    "ahead": "In line: so many jobs will be taken before it.",
    "ahead_at_least": "There are more than that before it.",
    "alive": "False: its heartbeat stands still, and others take over its jobs.",
    "at_least": "True: more were there than were looked at.",
    "beat_age_seconds": "How long ago its last heartbeat was.",
    "by": "Who paused the type, or drained the nodes.",
    "cancelled": "Jobs that were cancelled.",
    "capped": "Counts that stopped at 10,000, but for queued ones of all types together: there may be more.",
    "cause": "The same as `why`, for programs.",
    "concurrency_limit": "So many of its jobs run at once, on all nodes together; null: no limit.",
    "dead": "Jobs that failed for good: dead letters.",
    "detail": "What it was this time, and what to do.",
    "drained_by": "Who drained the node.",
    "earlier_failures": "How many attempts failed before those in `failures`; 10,000 are counted.",
    "error": "Its last error, cut.",
    "estimate_seconds": "In line: until it is taken, at the rate of the last five minutes; null: none is known.",
    "event_data": "The event, as it was sent.",
    "event_json": "The event as a text; in lists its first 1,000 characters.",
    "event_type_id": "The number of the type.",
    "event_type_ids": "The types that it has handlers for; null: all.",
    "event_types": "Types, in the order of their numbers.",
    "failed": "Attempts that failed, were discarded or crashed.",
    "failed_attempts": "Attempts that failed.",
    "failure_share": "Of attempts, from 0 to 1; null: none ended.",
    "failures": "The last attempts that failed, up to 100, the first of them first.",
    "filter": "Which jobs, by the filters of the list.",
    "given": "What came with it.",
    "held": "Jobs that another transaction holds, to which it comes back.",
    "id": "Its job.",
    "ids": "Their jobs, in the order of the events.",
    "jobs": "Jobs.",
    "known": "Whether it has a row in the table event_types.",
    "last_hour": "What ended in the last hour.",
    "last_minute": "What ended in the last minute.",
    "minute": "The minute that began.",
    "minutes": "The earliest first, without the one that has not ended.",
    "new_job_id": "redrive with another event: the job that was made.",
    "next_after": "What to give as `after` for the next page; null: there is none.",
    "node_id": "Which node, where a node was drained or resumed.",
    "nodes": "Nodes: each is one machine or container that runs v7.",
    "nodes_lost": "How many of them have no heartbeat.",
    "now": "The database's clock.",
    "oldest": "Who waits longest.",
    "operations": "The newest first.",
    "p50_seconds": "Half of the handlers ran no longer. From buckets, so it is rough; null: none ran.",
    "p95_seconds": "95 of 100 handlers ran no longer. From buckets, so it is rough; null: none ran.",
    "paused": "Types that are paused.",
    "paused_by": "Who paused the type.",
    "per_second": "Attempts that ended, a second.",
    "priority": "The one that they get.",
    "queued": "Jobs that wait for a worker.",
    "queued_at": "When it began to wait.",
    "received": "Events that the API acknowledged; those of v7.enqueue are not among them.",
    "results": "One for each event, in their order: `id` where it was added, else `error`, which says why.",
    "retried": "Failures after which the job is tried again.",
    "run_at": "When it is due, with its zone.",
    "running": "Jobs that a worker has.",
    "scheduled": "Jobs that wait for their time: for their first, or to be tried again.",
    "seconds": "How many seconds.",
    "served": "Whether a node that lives has a handler for it.",
    "since": "Since when it is so.",
    "status": "Where the job stands.",
    "succeeded": "Jobs that were handled.",
    "succeeded_per_second": "The same, a second.",
    "title": "What all problems of the type have in common.",
    "type": "The kind of problem, for programs.",
    "unserved": "Types with queued jobs that no node that lives has a handler for.",
    "until": "Waits: when it is due. Running: when its time is up.",
    "why": "Why it does not run, in one sentence; or where it runs, or how it ended.",
    "worker": "Its worker's name.",
    "workers": "Processes that run handlers.",
}
PARAMETERS = {
    "after": "Go on after this one: the last page's `next_after`.",
    "attempt_min": "At this attempt or a later one.",
    "correlation_id": "Exactly this X-Request-Id.",
    "created_from": "Created then or later.",
    "created_until": "Created before then.",
    "error_kind": "Exactly this stands before the first colon of the last error, of which 200 characters count.",
    "event_type_id": "Of this type.",
    "finished_from": "Finished then or later.",
    "finished_until": "Finished before then.",
    "hours": "The last so many hours.",
    "id": "The number in the path.",
    "limit": "How many, at most.",
    "priority_max": "Of this priority or a smaller number.",
    "priority_min": "Of this priority or a larger number.",
    "status": "In this status.",
    "user_id": "Of this user.",
}
TIMES = ("at", "minute", "now", "since", "until")
"""Fields that are times, beside those whose names end as such."""


def explain(schemas: dict[str, Any]) -> None:
    """Give each field of these schemas a description, and times their format."""
    for name, schema in schemas.items():
        schema["description"] = " ".join(schema.get("description", "").split())
        table = COLUMNS.get(name)
        for field, found in schema.get("properties", {}).items():
            comment = table.c[field].comment if table is not None and field in table.c else None
            if says := found.get("description") or comment or WORDS.get(field) or PARAMETERS.get(field):
                found["description"] = says
            if field.endswith(("_at", "_from", "_until")) or field in TIMES:
                for each in found.get("anyOf", [found]):
                    each |= {"format": "date-time"} if each.get("type") == "string" else {}
