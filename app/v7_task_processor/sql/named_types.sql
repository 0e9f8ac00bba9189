-- Which event types have a label of their own in metrics. Called by: each process that counts for types without a
-- handler of their own, every few seconds. Serves: event_types_created_at.
select label::bigint from ({named_types}) as named
