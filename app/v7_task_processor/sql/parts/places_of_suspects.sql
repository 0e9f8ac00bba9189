-- How many places of a type those that claim under limits leave to its suspects. Serves: jobs_suspect, jobs_running.
-- A queued suspect counts as if it ran: it is left a place, else whoever claims all the time fills each within
-- milliseconds, and a lone worker, which looks once a second, finds none as long as there is a backlog. Whatever its
-- priority: it is taken within a second or two, or as soon as a process has started. Whoever claims of its type is on a
-- node whose lone workers serve it too (and where the type is paused, or all nodes are drained, nobody claims of it).
-- But of a type no more than lone workers are to be had: else, after the crash of a hundred that run for hours, those
-- that wait for the one that runs would hold all the places of their types until then. A node has as many lone workers
-- as others, and each that runs a suspect is one more row of workers: so what is left is those rows, less two for each
-- suspect that runs. Not exact (a lone one that is idle counts, and nodes that do not serve the type do): a place too
-- many is left for no longer than a suspect runs. One that Postgres refuses (see queue/blame.py) keeps its place until
-- it is mended, or cancelled: only its lone workers know of that. Of very many suspects a thousand are looked at (0.6
-- ms), and the others when these ran.
suspects as materialized (
    select event_type_id from v7.jobs where status = 'queued' and suspect order by priority, position limit 1000),
lone as materialized (
    select greatest(0, (
        select count(*) from v7.workers where node_id is not null
            and node_id <> all(array(select id from v7.workers where drained_at is not null)))
        - 2 * (select count(*) from v7.jobs where status = 'running' and suspect)) as places),
places_of_suspects as materialized (
    select event_type_id, least(count(*), (select places from lone))::integer as places
    from suspects group by event_type_id)
