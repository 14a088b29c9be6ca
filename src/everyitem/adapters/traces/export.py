"""Spans to a collector, by OTLP over HTTP: from a thread of the SDK, dropped when nobody takes them."""

import os
from importlib.metadata import version
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from everyitem.adapters.traces.spans import RunSpans

#: Seconds one request to the collector may take, and seconds the end waits for what is left to be sent.
_REQUEST = 5.0
_END = 5.0


class Tracing:
    """Traces of everything one session executes."""

    def __init__(self, endpoint: str, *, item_share: float) -> None:
        """`endpoint` is the whole URL; OpenTelemetry's own variables say the rest: headers, sampler."""
        self._item_share = item_share
        service = os.environ.get("OTEL_SERVICE_NAME") or "everyitem"
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service, "service.version": version("everyitem")}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=_REQUEST))
        )
        self._tracer = self._provider.get_tracer("everyitem")

    def run(self) -> RunSpans:
        """The spans of one run, which begins now."""
        return RunSpans(self._tracer, item_share=self._item_share)

    def close(self) -> None:
        """Send what is left, for as long as that is worth waiting for."""
        sending = Thread(target=self._provider.shutdown, name="everyitem-traces-end", daemon=True)
        sending.start()
        sending.join(_END)
