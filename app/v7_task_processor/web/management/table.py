"""Every endpoint of the management, once: Starlette's routes and the OpenAPI document are made from this."""

from ...listing import ActPage, OperationPage, OperationRow, Page, TypePage, Why
from ...overview import Overview
from . import jobs, operations, overview
from .call import Nothing, Route
from .examples import ACT as NOTED
from .examples import JOB, JOB_DETAIL, MINUTE, NODES, OPERATION, OVERVIEW, TYPE, WHY
from .jobs import Acted, JobDetail, JobsQuery, Priority, Redrive, Reschedule
from .operations import AuditQuery, Many, ManyOf, ManyUntil, Meant, OperationsQuery
from .overview import Drain, LimitState, Nodes, NodeState, Pause, Series, SeriesQuery, TypeLimit, TypesQuery, TypeState

ONE = ("not-found",)
ACT = ("not-found", "conflict", "not-known")
BEGUN = {"matching": None, "operation": OPERATION}
QUEUED = {"id": 42, "status": "queued", "redriven_from": None}

ROUTES = [
    Route(
        "GET", "/api/jobs/v1", "listJobs", "Jobs by the page, the newest first.", jobs.jobs_page, Page,
        {"jobs": [JOB], "next_after": 42}, query=JobsQuery, asks={"status": "dead", "limit": 1},
    ),
    Route(
        "POST", "/api/jobs/v1/cancel", "cancelJobs",
        "Take all jobs that a filter names out of the queue for good, as an operation.",
        operations.cancel, Meant, BEGUN, body=Many,
        asks={"status": "queued", "event_type_id": 5}, problems=("not-known",),
    ),
    Route(
        "POST", "/api/jobs/v1/retry", "retryJobs",
        "Queue all scheduled or dead jobs that a filter names now, as an operation.",
        operations.retry, Meant, BEGUN, body=Many,
        asks={"status": "scheduled", "event_type_id": 5}, problems=("not-known",),
    ),
    Route(
        "POST", "/api/jobs/v1/reschedule", "rescheduleJobs",
        "Let all scheduled or queued jobs that a filter names wait until a time, as an operation.",
        operations.reschedule, Meant, BEGUN, body=ManyUntil,
        asks={"event_type_id": 5, "run_at": "2030-01-31T12:00:00Z"}, problems=("not-known",),
    ),
    Route(
        "POST", "/api/jobs/v1/priority", "setPriorities",
        "Give all jobs that a filter names, and that do not run, another priority, as an operation.",
        operations.priority, Meant, BEGUN, body=ManyOf,
        asks={"event_type_id": 5, "priority": -5}, problems=("not-known",),
    ),
    Route(
        "POST", "/api/jobs/v1/redrive", "redriveJobs",
        "Queue all dead letters that a filter names again, as an operation.",
        operations.redrive, Meant, BEGUN, body=Many,
        asks={"event_type_id": 5, "error": "timeout"}, problems=("not-known",),
    ),
    Route(
        "GET", "/api/jobs/v1/{id}", "getJob", "One job, with its event and the last attempts that failed.", jobs.job,
        JobDetail, JOB_DETAIL, problems=ONE,
    ),
    Route(
        "GET", "/api/jobs/v1/{id}/why", "whyNotRunning", "Why a job does not run, in one sentence, and as fields.",
        jobs.why, Why, WHY, problems=ONE,
    ),
    Route(
        "POST", "/api/jobs/v1/{id}/cancel", "cancelJob",
        "Take a job out of the queue for good. Where it runs, its handler is told, and what it does is void.",
        jobs.cancel, Acted, {**QUEUED, "status": "cancelled"}, body=Nothing, asks={}, problems=ACT,
    ),
    Route(
        "POST", "/api/jobs/v1/{id}/retry", "retryJob", "Queue a scheduled or dead job now.", jobs.retry, Acted, QUEUED,
        body=Nothing, asks={}, problems=ACT,
    ),
    Route(
        "POST", "/api/jobs/v1/{id}/reschedule", "rescheduleJob", "Let a scheduled or queued job wait until a time.",
        jobs.reschedule, Acted, {**QUEUED, "status": "scheduled"}, body=Reschedule,
        asks={"run_at": "2030-01-31T12:00:00Z"}, problems=ACT,
    ),
    Route(
        "POST", "/api/jobs/v1/{id}/priority", "setPriority",
        "Give a job that does not run another priority; it goes to the tail of it.", jobs.priority, Acted, QUEUED,
        body=Priority, asks={"priority": -5}, problems=ACT,
    ),
    Route(
        "POST", "/api/jobs/v1/{id}/redrive", "redriveJob",
        "Queue a dead letter again; with event_data as a new job in its place, and the old one is cancelled.",
        jobs.redrive, Acted, {"id": 43, "status": "queued", "redriven_from": 42}, body=Redrive,
        asks={"event_data": {"amount": 1}}, problems=ACT,
    ),
    Route(
        "GET", "/api/operations/v1", "listOperations", "Acts on many jobs, and how far they are, the newest first.",
        operations.operations_page, OperationPage, {"operations": [OPERATION], "next_after": None},
        query=OperationsQuery, asks={"limit": 20},
    ),
    Route(
        "GET", "/api/operations/v1/{id}", "getOperation", "One of them.", operations.operation, OperationRow,
        OPERATION, problems=ONE,
    ),
    Route(
        "POST", "/api/operations/v1/{id}/stop", "stopOperation", "End one where it stands. What it did stays done.",
        operations.stop, OperationRow, {**OPERATION, "status": "stopped", "finished_at": "2030-01-31T12:00:02Z"},
        body=Nothing, asks={}, problems=ACT,
    ),
    Route(
        "GET", "/api/audit/v1", "listActs", "What people did, by API or command line, the last first.",
        operations.acts_page, ActPage, {"acts": [NOTED], "next_after": None}, query=AuditQuery, asks={"limit": 20},
    ),
    Route(
        "GET", "/api/event-types/v1", "listEventTypes", "Types, each with what stands where and how long.",
        overview.types_page, TypePage, {"event_types": [TYPE], "next_after": None}, query=TypesQuery,
        asks={"limit": 100},
    ),
    Route(
        "POST", "/api/event-types/v1/{id}/pause", "pauseEventType",
        "Let a type's jobs wait, on all nodes. What runs is finished, new events still come in.", overview.pause,
        TypeState, {"event_type_id": 5, "paused_at": "2030-01-31T12:00:00Z"}, body=Pause,
        asks={"paused_by": "ann, the shop is down"}, problems=("not-known",),
    ),
    Route(
        "POST", "/api/event-types/v1/{id}/resume", "resumeEventType", "Let a type's jobs run again.", overview.resume,
        TypeState, {"event_type_id": 5, "paused_at": None}, body=Nothing, asks={}, problems=("not-found", "not-known"),
    ),
    Route(
        "POST", "/api/event-types/v1/{id}/limit", "limitEventType",
        "Let no more than so many of a type's jobs run at once, on all nodes together. What runs is finished.",
        overview.limit, LimitState, {"event_type_id": 5, "concurrency_limit": 3}, body=TypeLimit,
        asks={"concurrency_limit": 3}, problems=("not-known",),
    ),
    Route(
        "GET", "/api/workers/v1", "listWorkers", "Nodes and their workers, and what each runs.", overview.workers,
        Nodes, {"nodes": NODES},
    ),
    Route(
        "POST", "/api/workers/v1/{id}/drain", "drainNode",
        "Let a node take no more jobs. What it runs is finished; it stays idle until it is resumed, or started anew.",
        overview.drain, NodeState, {"id": 1, "drained_at": "2030-01-31T12:00:00Z"}, body=Drain,
        asks={"drained_by": "ann, its disk is changed"}, problems=("not-found", "not-known"),
    ),
    Route(
        "POST", "/api/workers/v1/{id}/resume", "resumeNode", "Let a node take jobs again.", overview.undrain, NodeState,
        {"id": 1, "drained_at": None}, body=Nothing, asks={}, problems=("not-found", "not-known"),
    ),
    Route("GET", "/api/stats/v1", "getStats", "Everything at a glance.", overview.stats, Overview, OVERVIEW),
    Route(
        "GET", "/api/stats/v1/series", "getSeries", "What came, ended and failed, by the minute.", overview.series,
        Series, {"minutes": [MINUTE]}, query=SeriesQuery, asks={"hours": 24},
    ),
]  # fmt: skip
