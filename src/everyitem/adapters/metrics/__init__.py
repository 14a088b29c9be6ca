"""Metrics for Prometheus: what they are, how they are rendered, where they are served."""
