"""The link from a job that was redriven with edited event_data to the dead letter that it replaced."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = """id, event_type_id, user_id, priority, event_data, correlation_id, status, position, run_at,
           retry_count, max_retries, attempt, worker_id, suspect, last_error, dead_at, dead_reason,
           created_at, queued_at, claimed_at"""
LINK = "The dead letter that this job was redriven from, with edited event_data. Null: it was not."
POSITION = "Order within a priority. Fresh at enqueue, promote, retry and redrive"

ALL_JOBS = """
create {or_replace} view v7.all_jobs as
    select {columns}, null::timestamptz as finished_at{link}
    from v7.jobs
    union all
    select {columns}, finished_at{link}
    from v7.finished_jobs
"""


def upgrade() -> None:
    op.execute("alter table v7.jobs add column redriven_from bigint")
    op.execute("alter table v7.finished_jobs add column redriven_from bigint")
    op.execute(ALL_JOBS.format(or_replace="or replace", columns=COLUMNS, link=", redriven_from"))
    for table in ("jobs", "finished_jobs", "all_jobs"):
        op.execute(f"comment on column v7.{table}.redriven_from is '{LINK}'")
        op.execute(f"comment on column v7.{table}.position is '{POSITION}, and when priority is changed.'")


def downgrade() -> None:
    op.execute("drop view v7.all_jobs")
    op.execute(ALL_JOBS.format(or_replace="", columns=COLUMNS, link=""))
    op.execute("comment on view v7.all_jobs is 'jobs and finished_jobs as one.'")
    op.execute("comment on column v7.all_jobs.finished_at is 'When it ended; null: it has not.'")
    for table in ("jobs", "finished_jobs"):
        op.execute(f"alter table v7.{table} drop column redriven_from")
        op.execute(f"comment on column v7.{table}.position is '{POSITION}.'")
    op.execute(COPY_COMMENTS)


# A view's columns carry the comments of the table's columns that they show.
COPY_COMMENTS = """
do $$
declare c record;
begin
    for c in select a.attname, col_description('v7.jobs'::regclass, j.attnum) as says
        from pg_attribute a join pg_attribute j on j.attrelid = 'v7.jobs'::regclass and j.attname = a.attname
        where a.attrelid = 'v7.all_jobs'::regclass and a.attnum > 0
    loop
        execute format('comment on column v7.all_jobs.%I is %L', c.attname, c.says);
    end loop;
end $$
"""
