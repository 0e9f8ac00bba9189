-- Let one claim at a time count what runs of the types that have a limit.
-- Called by: each claim while types have limits, first in its transaction, which holds the lock to its end.
-- By itself, so that the claim is a statement of its own after it: its snapshot then shows all that the claim
-- before it took. One lock for all types: a lock for each would be a thousand in a claim, and a row for each, locked
-- or counted up, would become a hot one, with a dead version for each claim.
-- It waits for no longer than so: a server process that stands still must not stop what has no limit.
with bounded as materialized (select set_config('lock_timeout', '200ms', true) as setting)
select pg_advisory_xact_lock(hashtext('v7.limits')) from bounded where setting <> ''
