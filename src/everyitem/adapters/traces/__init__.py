"""Traces: what a run did and when, as spans for OpenTelemetry."""
