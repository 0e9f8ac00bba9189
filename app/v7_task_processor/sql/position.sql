-- Where the sequence of positions stands. Called by: a worker, before its first claim on new connections.
select last_value from v7.position
