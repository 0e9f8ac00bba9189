"""Answers as they look, for the OpenAPI document."""

from typing import Any

JOB: dict[str, Any] = {
    "id": 42,
    "status": "dead",
    "event_type_id": 5,
    "user_id": 7,
    "priority": 1,
    "position": 42,
    "event_json": '{"amount": -1}',
    "correlation_id": "order-1001",
    "retry_count": 1,
    "max_retries": 5,
    "attempt": 1,
    "suspect": False,
    "worker_id": None,
    "worker": None,
    "last_error": "Discard: negative amount",
    "dead_reason": "discarded: negative amount",
    "created_at": "2030-01-31T12:00:00Z",
    "run_at": None,
    "queued_at": "2030-01-31T12:00:00Z",
    "claimed_at": "2030-01-31T12:00:01Z",
    "dead_at": "2030-01-31T12:00:02Z",
    "finished_at": None,
    "redriven_from": None,
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
FAILURE = {
    "attempt": 1,
    "error_type": "Discard",
    "message": "negative amount",
    "traceback": None,
    "worker": "alpha:101",
    "claimed_at": "2030-01-31T12:00:01Z",
    "failed_at": "2030-01-31T12:00:02Z",
    "log": "2030-01-31T12:00:01.500000Z [warning] the amount is negative amount=-1",
}
JOB_DETAIL = {**JOB, "event_data": {"amount": -1}, "failures": [FAILURE], "earlier_failures": 0, "log": None}
WHY = {
    "id": 3,
    "status": "queued",
    "cause": "paused",
    "why": "Job 3 waits because its type, 5, is paused since 2030-01-31 12:00:00 UTC by ann, the shop is down.",
    "event_type_id": 5,
    "since": "2030-01-31T12:00:00Z",
    "until": None,
    "by": "ann, the shop is down",
    "worker": None,
    "error": None,
    "ahead": None,
    "ahead_at_least": False,
    "estimate_seconds": None,
}
DEPTH = {"scheduled": 0, "queued": 10000, "running": 1, "dead": 2, "capped": ["queued"]}
OLDEST = {"queued_at": "2030-01-31T12:00:00Z", "age_seconds": 7200.0, "at_least": False}
RATE = {
    "event_type_id": 5,
    "seconds": 3600.0,
    "succeeded": 7000,
    "failed": 200,
    "per_second": 2.0,
    "failure_share": 0.0278,
    "p50_seconds": 0.02,
    "p95_seconds": 0.3,
}
MINUTE = {
    "minute": "2030-01-31T12:00:00Z",
    "received": 1300,
    "succeeded": 1200,
    "failed": 3,
    "dead": 1,
    "retried": 2,
}
TYPE = {
    "event_type_id": 5,
    "known": True,
    "served": True,
    "paused_at": "2030-01-31T12:00:00Z",
    "paused_by": "ann, the shop is down",
    "concurrency_limit": 3,
    "jobs": DEPTH,
    "oldest": OLDEST,
    "last_hour": RATE,
}
RUNNING = {"id": 6, "event_type_id": 1, "attempt": 1, "claimed_at": "2030-01-31T12:00:00Z", "seconds": 10.0}
WORKER = {
    "id": 2,
    "name": "alpha:101",
    "pid": 101,
    "started_at": "2030-01-31T12:00:00Z",
    "running": 1,
    "jobs": [RUNNING],
}
NODES = [
    {
        "id": 1,
        "name": "alpha:100",
        "pid": 100,
        "version": "0.1.0",
        "concurrency": 16,
        "event_type_ids": [1, 5],
        "started_at": "2030-01-31T12:00:00Z",
        "heartbeat_at": "2030-01-31T14:00:00Z",
        "beat_age_seconds": 1.5,
        "alive": True,
        "drained_at": None,
        "drained_by": None,
        "timeouts": {"1": 300.0, "5": 30.0},
        "workers": [WORKER],
    }
]
ENDED = {
    "seconds": 60,
    "succeeded": 1200,
    "cancelled": 1,
    "failed_attempts": 3,
    "succeeded_per_second": 20.0,
    "capped": [],
}
OVERVIEW = {
    "now": "2030-01-31T14:00:00Z",
    "jobs": DEPTH,
    "oldest": OLDEST,
    "paused": [5],
    "unserved": [9],
    "nodes": 1,
    "nodes_lost": 0,
    "workers": 1,
    "last_minute": ENDED,
    "last_hour": {**ENDED, "seconds": 3600},
}
OPERATION: dict[str, Any] = {
    "id": 7,
    "act": "redrive",
    "filter": {"event_type_id": 5, "error": "timeout"},
    "run_at": None,
    "priority": None,
    "who": "admin",
    "through": "api",
    "status": "running",
    "last_id": 1000000,
    "seen_id": 42,
    "done": 500,
    "skipped": 0,
    "held": 0,
    "created_at": "2030-01-31T12:00:00Z",
    "started_at": "2030-01-31T12:00:01Z",
    "finished_at": None,
    "carried_by": "alpha:100:1f2e3d4c",
    "error": None,
}
ACT = {
    "id": 3,
    "at": "2030-01-31T12:00:00Z",
    "who": "admin",
    "through": "api",
    "act": "redrive",
    "job_id": None,
    "event_type_id": None,
    "operation_id": 7,
    "filter": {"event_type_id": 5, "error": "timeout"},
    "given": None,
    "jobs": None,
}
