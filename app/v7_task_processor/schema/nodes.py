"""Who works, and on which server."""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from .base import Time, metadata

workers = Table(
    "workers",
    metadata,
    Column("id", BigInteger, sa.Identity(), primary_key=True, comment="Never used twice."),
    Column(
        "node_id",
        BigInteger,
        sa.ForeignKey("v7.workers.id", ondelete="CASCADE"),
        index=True,
        comment="Workers: the node they belong to. Null: this row is a node.",
    ),
    Column("name", Text, nullable=False, comment="Host and process id."),
    Column("pid", Integer, nullable=False, comment="Process id on its host."),
    Column("token", Text, nullable=False, comment="Random; names the node's own notes on its disk."),
    Column("version", Text, nullable=False, comment="Release of the program."),
    Column("concurrency", Integer, nullable=False, comment="Attempts at once."),
    Column("event_type_ids", ARRAY(BigInteger), comment="Types that its handlers serve; null: all."),
    Column("started_at", Time, nullable=False, server_default=sa.func.now(), comment="When it began."),
    Column("heartbeat_at", Time, nullable=False, server_default=sa.func.now(), comment="Nodes: last beat."),
    Column("drained_at", Time, comment="Nodes: since when it takes no more jobs; null: it takes them."),
    Column("drained_by", Text, comment="Nodes: who drained it, and by what."),
    Column(
        "timeouts",
        JSONB,
        comment="Nodes: seconds that an attempt may take, by event type; other: of types without a handler of their "
        "own.",
    ),
    CheckConstraint("(drained_at is null) = (drained_by is null)", "drained"),
    comment="Nodes, and the worker processes on them. A row that is gone can neither claim nor write.",
)

server = Table(
    "server",
    metadata,
    Column(
        "one_row",
        Boolean,
        primary_key=True,
        server_default=sa.true(),
        comment="Always true: there is one row.",
    ),
    Column("system_identifier", BigInteger, comment="The cluster, by pg_control_system(); null: not seen yet."),
    Column("timeline", BigInteger, comment="Its timeline, a new one after each failover; null: not seen yet."),
    Column("seen_at", Time, nullable=False, server_default=sa.func.now(), comment="When it was first seen there."),
    Column(
        "oldest_schema",
        Text,
        nullable=False,
        server_default="0010",
        comment="The oldest version of the schema that this one still serves: what came since only adds.",
    ),
    CheckConstraint("one_row", "one_row"),
    comment="Where this database stands. Where that changes, ids and positions jump, so that none is given out twice.",
)
