"""v7.enqueue_many: many events in one statement, for a third of what v7.enqueue costs each."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# One statement for all: of a call of v7.enqueue two fifths is making ready the table's checks for a single row.
# json_to_record alone cannot tell an event_data of null, which is one, from none at all. Nothing is asked back of the
# insert: that would need the right to read jobs, and who only sends has none. Where it fails they are tried one by one,
# in vain, for the place of the one that cannot be.
ENQUEUE_MANY = """
create function v7.enqueue_many(events json) returns setof bigint language plpgsql as $$
#variable_conflict use_column
declare
    wrong text;
    each record;
begin
    if json_typeof(events) is distinct from 'array' then
        raise exception 'events is %: it must be a JSON array of objects', coalesce(json_typeof(events), 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    select format('events[%s] is %s: it must be an object', place - 1, json_typeof(event)) into wrong
        from json_array_elements(events) with ordinality as each(event, place)
        where json_typeof(event) <> 'object' limit 1;
    if wrong is null then
        select format('events[%s] has %s: it may have event_type_id, user_id, priority, event_data, run_at, '
                      'max_retries, correlation_id, traceparent and tracestate', place - 1, to_json(name)) into wrong
            from json_array_elements(events) with ordinality as each(event, place), json_object_keys(event) as name
            where name not in ('event_type_id', 'user_id', 'priority', 'event_data', 'run_at', 'max_retries',
                               'correlation_id', 'traceparent', 'tracestate')
            limit 1;
    end if;
    if wrong is not null then
        raise exception '%', wrong using errcode = 'invalid_parameter_value';
    end if;
    begin
        return query
            with given as materialized (
                select nextval('v7.jobs_id_seq') as id, ordered.* from (
                    select place, event -> 'event_data' as event_data, fields.*,
                        coalesce(run_at > now(), false) as later,
                        traceparent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' as traced
                    from json_array_elements(events) with ordinality as each(event, place),
                        json_to_record(event) as fields(
                            event_type_id bigint, user_id bigint, priority bigint, run_at timestamptz,
                            max_retries integer, correlation_id text, traceparent text, tracestate text)
                    order by place) as ordered),
            added as (
                insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                                     status, run_at, queued_at, traceparent, tracestate)
                select id, event_type_id, user_id, priority, event_data, max_retries,
                    coalesce(correlation_id, gen_random_uuid()::text),
                    case when later then 'scheduled' else 'queued' end,
                    case when later then run_at end,
                    case when later then null else now() end,
                    case when traced then traceparent end,
                    case when traced and length(tracestate) <= 512 then tracestate end
                from given order by place),
            woken as (select pg_notify('v7', 'jobs') from given where not later limit 1)
            select id from given, (select count(*) from woken) as told order by place;
    exception when data_exception or integrity_constraint_violation then
        if json_array_length(events) > 1 then
            for each in select place, event from json_array_elements(events) with ordinality as e(event, place) loop
                begin
                    perform v7.enqueue_many(json_build_array(each.event));
                exception when others then
                    raise exception 'events[%]: %', each.place - 1, sqlerrm using errcode = sqlstate;
                end;
            end loop;
        end if;
        raise;
    end;
end $$
"""
SAYS = (
    "Adds many events in the caller's transaction and wakes workers; returns the jobs' ids in the order of the array. "
    "Each is an object with what v7.enqueue takes, but for idempotency_key."
)
# Whoever may call v7.enqueue, and nobody else, may call it.
ALLOW = """
do $do$
declare
    allowed aclitem[] := (select proacl from pg_proc where oid = 'v7.enqueue'::regproc);
    each record;
begin
    if allowed is not null then
        revoke all on function v7.enqueue_many(json) from public;
        for each in select * from aclexplode(allowed) loop
            execute format('grant execute on function v7.enqueue_many(json) to %s%s',
                           case each.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(each.grantee)) end,
                           case when each.is_grantable then ' with grant option' else '' end);
        end loop;
    end if;
end $do$
"""


def upgrade() -> None:
    op.execute(ENQUEUE_MANY)
    op.execute(ALLOW)
    says = SAYS.replace("'", "''")
    op.execute(f"comment on function v7.enqueue_many is '{says}'")


def downgrade() -> None:
    op.execute("drop function v7.enqueue_many(json)")
