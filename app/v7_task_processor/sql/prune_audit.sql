-- Forget acts after their 400 days, a batch at a time. Serves: audit_at.
delete from v7.audit where ctid = any(array(
    select ctid from v7.audit where at < now() - interval '400 days'
    order by at limit :batch::integer for update skip locked))
returning id
