"""How Alembic reaches the database: the connection that `v7 migrate` gives it, or DATABASE_URL."""

from alembic import context
from sqlalchemy import Connection, text

from v7_task_processor import database, schema
from v7_task_processor.settings import load


def include_name(name: str | None, kind: str, parents: object) -> bool:
    """Only our schema; partitions are made by the day, not by migrations."""
    if kind == "schema":
        return name == schema.SCHEMA
    return not (kind == "table" and name is not None and name.startswith("finished_jobs_"))


def run(connection: Connection) -> None:
    ours = not connection.in_transaction()
    # Nodes may run with fewer rights than the owner: CREATE SCHEMA IF NOT EXISTS asks for them even when it exists.
    if connection.scalar(text("select to_regnamespace('v7')")) is None:
        connection.execute(text("create schema v7"))
    if ours:
        connection.commit()
    context.configure(
        connection=connection,
        target_metadata=schema.metadata,
        version_table_schema=schema.SCHEMA,
        include_schemas=True,
        include_name=include_name,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    context.configure(dialect_name="postgresql", version_table_schema=schema.SCHEMA)
    context.run_migrations()
elif given is not None:
    run(given)
else:
    with database.engine(load().database_url or "").connect() as own:
        run(own)
