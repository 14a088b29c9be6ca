-- What was given up is looked for every few seconds: among millions of events that were sent it has to be found at once.
CREATE INDEX outbox_parked ON outbox (position) WHERE parked_at IS NOT NULL;
