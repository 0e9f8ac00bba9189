-- Tell idle workers that jobs came. A hint: workers poll as well. Called by: the API, after its commits, on a
-- connection of its own, since notifying commits wait for each other in the whole cluster.
select pg_notify('v7', 'jobs')
