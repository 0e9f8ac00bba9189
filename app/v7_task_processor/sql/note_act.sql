-- Note in the audit what somebody did. In the transaction of the act: neither is there without the other.
insert into v7.audit (who, through, act, job_id, event_type_id, operation_id, filter, given, jobs)
values (:who::text, :through::text, :act::text, :job_id::bigint, :event_type_id::bigint, :operation_id::bigint,
    :filter::jsonb, :given::jsonb, :jobs::bigint)
returning id
