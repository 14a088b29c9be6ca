-- Since when items, outcomes and events of a finished execution are no longer kept; its record, counts and
-- responses are. NULL while everything is there.
ALTER TABLE execution_states ADD COLUMN pruned_at REAL;
