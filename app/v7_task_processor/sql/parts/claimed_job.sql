-- What a claim answers of a job that it took: the fields of job.Job, in their order.
id, attempt, event_type_id, user_id, priority, event_data::text, retry_count, max_retries, correlation_id,
date_part('epoch', created_at) as created, position,
case when isfinite(queued_at) then greatest(0, date_part('epoch', now() - queued_at)) else 0 end as waited_seconds,
traceparent, tracestate
