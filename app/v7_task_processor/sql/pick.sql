-- The next jobs of an operation, locked; and how far that is. Called by: operations.step. Serves: jobs_pkey.
-- By id from where the last batch ended, and never more than so many rows of the table, whatever the filter: a batch
-- must be short, since workers that want its rows wait for it, and positions drawn in it are seen late.
-- It waits for no row itself, so that it can have no part in a deadlock: what others hold is given back as held, and
-- given again with the next batch. The lock does not look at the filter again; the act looks at the status, and of
-- the rest only a priority or an error could have changed between the two.
with looked as (
    select * from v7.jobs where id > :seen_id::bigint and id <= :last_id::bigint
    order by id limit :looked_max::integer),
found as materialized (
    select id from (
        (select * from v7.jobs where id = any(:held::bigint[]) offset 0)
        union all select * from looked) as job
    where status = any(:statuses::text[])
      and (:event_type_id::bigint is null or event_type_id = :event_type_id::bigint)
      and (:user_id::bigint is null or user_id = :user_id::bigint)
      and (:priority_min::bigint is null or priority >= :priority_min::bigint)
      and (:priority_max::bigint is null or priority <= :priority_max::bigint)
      and (:correlation_id::text is null or correlation_id = :correlation_id::text)
      and (:attempt_min::integer is null or attempt >= :attempt_min::integer)
      and (:error::text is null or position(lower(:error::text) in lower(last_error)) > 0)
      and (:error_kind::text is null
           or left(split_part(coalesce(last_error, dead_reason), ':', 1), 200) = :error_kind::text)
      and (:created_from::timestamptz is null or created_at >= :created_from::timestamptz)
      and (:created_until::timestamptz is null or created_at < :created_until::timestamptz)
    limit :batch::integer + cardinality(:held::bigint[])),
new as (select count(*) as jobs, max(id) as last from found where id > :seen_id::bigint),
passed as (
    select count(*) as jobs, max(id) as last from (
        select id from v7.jobs where id > :seen_id::bigint and id <= :last_id::bigint
        order by id limit :looked_max::integer) as ids),
picked as materialized (
    select id from v7.jobs where id = any(array(select id from found)) order by id for no key update skip locked)
select array(select id from picked),
    array(select id from found except select id from picked order by id),
    case when new.jobs >= :batch::integer then new.last
        when passed.jobs < :looked_max::integer then :last_id::bigint
        else passed.last end
from new, passed
