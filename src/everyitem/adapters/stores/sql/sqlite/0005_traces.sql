-- The trace (W3C traceparent) of the run an event is about; empty without one.
ALTER TABLE outbox ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
