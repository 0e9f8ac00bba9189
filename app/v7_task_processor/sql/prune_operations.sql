-- Forget operations that ended 400 days ago, a batch at a time. Serves: operations_pkey; they are few.
delete from v7.operations where ctid = any(array(
    select ctid from v7.operations where finished_at < now() - interval '400 days'
    order by id limit :batch::integer for update skip locked))
returning id
