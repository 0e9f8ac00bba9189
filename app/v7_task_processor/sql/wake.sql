-- Tell workers that jobs came, or came back to where they had stood. A hint: workers look by themselves as well.
-- Called by: the API, after its commits, on a connection of its own, since notifying commits wait for each other in
-- the whole cluster; by whoever gave back what others held.
select pg_notify('v7', case when :back::boolean then 'back' else 'jobs' end)
