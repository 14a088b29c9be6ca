"""The trace a run belongs to, as W3C Trace Context writes it; OpenTelemetry itself is left to an adapter."""

import re

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    """Whether a text is a `traceparent` one may hand on."""
    return _TRACEPARENT.fullmatch(text) is not None


def trace_id_of(traceparent: str) -> str:
    """The trace's id, by which logs and spans are brought together; empty without one."""
    return traceparent[3:35]
