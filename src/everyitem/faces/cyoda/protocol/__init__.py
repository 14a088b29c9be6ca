"""The wire format: `cloudevents.proto` and what `make protocol` generates from it."""
