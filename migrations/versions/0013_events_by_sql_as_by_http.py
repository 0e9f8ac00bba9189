"""Events by SQL as by HTTP: correlation_ids are cut; v7.enqueue_many takes any event_data, and no text for a number."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# What it was since 0007, but for the cut: whole, a text of megabytes would come back with each listing and claim.
ENQUEUE = """
create or replace function v7.enqueue(
    event_type_id bigint, user_id bigint, priority bigint, event_data json,
    run_at timestamptz default null, max_retries integer default null,
    correlation_id text default null, idempotency_key text default null,
    traceparent text default null, tracestate text default null
) returns bigint language plpgsql as $$
#variable_conflict use_column
declare
    job bigint := nextval('v7.jobs_id_seq');
    digest bytea;
    known v7.idempotency_keys;
begin
    if enqueue.run_at >= '9999-01-01' then
        raise exception 'run_at is %: it must be before the year 9999', enqueue.run_at
            using errcode = 'datetime_field_overflow';
    end if;
    if enqueue.traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' then
        enqueue.traceparent := null;
    end if;
    if enqueue.traceparent is null or length(enqueue.tracestate) > 512 then
        enqueue.tracestate := null;
    end if;
    if idempotency_key is not null then
        digest := sha256(convert_to(concat_ws(',', enqueue.event_type_id, enqueue.user_id, enqueue.priority,
                                              enqueue.event_data), 'UTF8'));
        insert into v7.idempotency_keys as k (key, body_sha256, job_id)
            values (enqueue.idempotency_key, digest, job)
            on conflict (key) do update set key = excluded.key
            returning k.* into known;
        if known.job_id <> job then
            if known.body_sha256 <> digest then
                raise exception 'idempotency_key % was used for another event, which is job %',
                    quote_literal(enqueue.idempotency_key), known.job_id using errcode = 'unique_violation';
            end if;
            return known.job_id;
        end if;
    end if;
    if enqueue.run_at > now() then
        insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                             status, run_at, traceparent, tracestate)
            values (job, enqueue.event_type_id, enqueue.user_id, enqueue.priority, enqueue.event_data,
                    enqueue.max_retries, coalesce(left(enqueue.correlation_id, 128), gen_random_uuid()::text),
                    'scheduled', enqueue.run_at, enqueue.traceparent, enqueue.tracestate);
    else
        insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                             queued_at, traceparent, tracestate)
            values (job, enqueue.event_type_id, enqueue.user_id, enqueue.priority, enqueue.event_data,
                    enqueue.max_retries, coalesce(left(enqueue.correlation_id, 128), gen_random_uuid()::text), now(),
                    enqueue.traceparent, enqueue.tracestate);
        perform pg_notify('v7', 'jobs');
    end if;
    return job;
end $$
"""

# One statement for all: of a call of v7.enqueue two fifths is making ready the table's checks for a single row.
# json_to_record alone cannot tell an event_data of null, which is one, from none at all. Nothing is asked back of the
# insert: that would need the right to read jobs, and who only sends has none. Where it fails they are tried one by one,
# in vain, for the place of the one that cannot be; and whether each is an object is asked only then.
# Postgres takes no object apart that has \u0000 or half a surrogate pair anywhere in it, and event_data may have. Where
# that fails, every \u is escaped first, and every \\ too (chr(1) stands in no JSON), each value is taken out as it then
# stands and turned back, and event_data goes beside the rest.
ENQUEUE_MANY = r"""
create or replace function v7.enqueue_many(events json) returns setof bigint language plpgsql as $$
#variable_conflict use_column
declare
    numbers constant text[] := array['event_type_id', 'user_id', 'priority', 'max_retries'];
    readable json := events;
    data text[];
    wrong text;
    each record;
begin
    if json_typeof(events) is distinct from 'array' then
        raise exception 'events is %: it must be a JSON array of objects', coalesce(json_typeof(events), 'null')
            using errcode = 'invalid_parameter_value';
    end if;
    begin
        for attempt in 1..2 loop
            begin
                select format('events[%s] has %s', place - 1, to_json(name)) || case when name = any(numbers)
                        then ' as text: it must be a number'
                        else ': it may have event_type_id, user_id, priority, event_data, run_at, max_retries, '
                             'correlation_id, traceparent and tracestate' end
                    into wrong
                    from json_array_elements(readable) with ordinality as each(event, place),
                        json_each(event) as field(name, value)
                    where case when name = any(numbers) then json_typeof(value) = 'string'
                               else name not in ('event_data', 'run_at', 'correlation_id', 'traceparent',
                                                 'tracestate') end
                    limit 1;
                exit;
            exception when untranslatable_character or invalid_text_representation then
                if attempt = 2 then
                    raise;
                end if;
                select json_agg(coalesce(own.rest, '{}') order by place), array_agg(own.data order by place)
                    into readable, data
                    from json_array_elements(events) with ordinality as each(event, place), lateral (
                        select json_object_agg(name, value::json) filter (where name <> 'event_data') as rest,
                            (array_agg(value order by nth desc) filter (where name = 'event_data'))[1] as data
                        from (
                            select name, nth,
                                replace(replace(replace(escaped::text, '\\\\', chr(1)), '\\u', '\u'), chr(1), '\\') as value
                            from json_each(replace(replace(replace(event::text, '\\', chr(1)), '\u', '\\u'),
                                                   chr(1), '\\\\')::json)
                                with ordinality as field(name, escaped, nth)) as fields) as own;
            end;
        end loop;
        if wrong is not null then
            raise exception '%', wrong using errcode = 'invalid_parameter_value';
        end if;
        return query
            with given as materialized (
                select nextval('v7.jobs_id_seq') as id, ordered.* from (
                    select place, coalesce(data[place::integer]::json, event -> 'event_data') as event_data,
                        fields.*,
                        coalesce(run_at > now(), false) as later,
                        traceparent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' as traced
                    from json_array_elements(readable) with ordinality as each(event, place),
                        json_to_record(event) as fields(
                            event_type_id bigint, user_id bigint, priority bigint, run_at timestamptz,
                            max_retries integer, correlation_id text, traceparent text, tracestate text)
                    order by place) as ordered),
            added as (
                insert into v7.jobs (id, event_type_id, user_id, priority, event_data, max_retries, correlation_id,
                                     status, run_at, queued_at, traceparent, tracestate)
                select id, event_type_id, user_id, priority, event_data, max_retries,
                    coalesce(left(correlation_id, 128), gen_random_uuid()::text),
                    case when later then 'scheduled' else 'queued' end,
                    case when later then run_at end,
                    case when later then null else now() end,
                    case when traced then traceparent end,
                    case when traced and length(tracestate) <= 512 then tracestate end
                from given order by place),
            woken as (select pg_notify('v7', 'jobs') from given where not later limit 1)
            select id from given, (select count(*) from woken) as told order by place;
    exception when data_exception or integrity_constraint_violation then
        select format('events[%s] is %s: it must be an object', place - 1, json_typeof(event)) into wrong
            from json_array_elements(events) with ordinality as each(event, place)
            where json_typeof(event) <> 'object' limit 1;
        if wrong is not null then
            raise exception '%', wrong using errcode = 'invalid_parameter_value';
        end if;
        if sqlerrm not like 'events[%' and json_array_length(events) > 1 then
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


def upgrade() -> None:
    op.execute(ENQUEUE)
    op.execute(ENQUEUE_MANY)


def downgrade() -> None:
    """They stay: they can be called as those before."""
