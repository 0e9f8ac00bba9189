-- Whether this release knows all that an operation says. What a newer one chose jobs by, and this one would leave out,
-- would leave more jobs than were meant.
act = any(:acts::text[])
and not exists (select from jsonb_object_keys(filter) as given(name) where name <> all(:filters::text[]))
