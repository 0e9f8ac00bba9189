-- Where the sequence of positions stands. Called by: a worker, before its first claim on new connections.
-- A sequence that nobody has asked says of itself what it will give first, as if it had.
select last_value - (not is_called)::integer from v7.position
