-- Make the partitions of finished_jobs well ahead: without today's every completion fails. Called by: maintenance.
select v7.add_days(:days_ahead::integer)
