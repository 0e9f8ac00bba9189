"""What processes counted, now and by the minute."""

import sqlalchemy as sa
from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import JSONB

from .base import Time, metadata

metrics = Table(
    "metrics",
    metadata,
    Column(
        "source",
        sa.Uuid(as_uuid=False),
        primary_key=True,
        comment="A process, by a number of its own making; all zeros: the sum of those that ended.",
    ),
    Column(
        "counts",
        JSONB,
        nullable=False,
        comment="By name|event_type_id|label: a counter's number; a histogram's buckets, the rest, and the sum.",
    ),
    Column(
        "written_at",
        Time,
        nullable=False,
        server_default=sa.func.now(),
        comment="When it last changed; after a minute without a change it is added to the sum.",
    ),
    comment="What processes have counted, for GET /metrics: one row each, and one for all that ended.",
)

minutes = Table(
    "minutes",
    metadata,
    Column("minute", Time, primary_key=True, comment="The minute that began."),
    Column(
        "noted_at",
        Time,
        nullable=False,
        server_default=sa.text("clock_timestamp()"),
        comment="When it was noted, seconds after that.",
    ),
    *(
        Column(name, sa.Double, nullable=False, comment=f"{says} In all, until then.")
        for name, says in {
            "received": "Events that the API acknowledged.",
            "succeeded": "Attempts that succeeded.",
            "failed": "Attempts that failed, were discarded or crashed.",
            "dead": "Jobs that became dead letters.",
            "retried": "Failures after which the job is tried again.",
        }.items()
    ),
    Column(
        "counts",
        JSONB,
        comment="The same by event type, and how long handlers ran, as in metrics. Null after two hours.",
    ),
    comment="What all processes had counted when a minute began; the difference of two is what came between.",
)
