-- Forget keys after their seven days, a batch at a time. Serves: idempotency_keys_created_at.
delete from v7.idempotency_keys where ctid = any(array(
    select ctid from v7.idempotency_keys where created_at < now() - interval '7 days'
    order by created_at limit :batch::integer for update skip locked))
returning key
