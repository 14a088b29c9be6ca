"""One run as spans: the batch, below it its checkpoints and slices, below those (where asked for) items.

The batch's span is there before the run begins, because its trace context goes to item processors and
events. All others are made when what they are about is over, from times that were noted before.
"""

import os
import time
from collections.abc import Iterator, Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from everyitem.model.outcome import Failure, OutcomeBlock
from everyitem.model.redaction import redact
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import HolderLost, Lease, NodeMessage, OutcomesArrived, SliceFinished
from everyitem.ports.observer import NoObserver, RunView

_PROPAGATOR = TraceContextTextMapPropagator()


class RunSpans(NoObserver):
    """The spans of one run. The engine's loop and the writer's thread tell it different things."""

    def __init__(self, tracer: Tracer, *, item_share: float = 0.0) -> None:
        """`item_share` of the items get spans: always the same ones, at each of their attempts."""
        self._tracer = tracer
        self._every = round(1 / item_share) if item_share else 0
        #: From monotonic seconds to the nanoseconds since 1970 that spans count in.
        self._epoch = time.time_ns() - time.monotonic_ns()
        self._batch = tracer.start_span("batch", context=_surroundings(os.environ))
        self._within = trace.set_span_in_context(self._batch)
        #: By holder and lease: slices that have begun.
        self._slices: dict[tuple[str, int], _Slice] = {}

    @property
    def traceparent(self) -> str:
        """The trace context of the batch's span, as W3C Trace Context writes it."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, context=self._within)
        return carrier.get("traceparent", "")

    def began(self, run: RunView) -> None:
        self._batch.set_attributes(
            {
                "everyitem.batch_id": run.batch_id,
                "everyitem.execution": run.execution,
                "everyitem.round": run.round,
                "everyitem.run": run.run,
                "everyitem.processor": run.processor,
                "everyitem.items": run.items,
            }
        )

    def leased(self, at: float, node_id: str, holder: str, lease: Lease) -> None:
        span = self._tracer.start_span("slice", context=self._within, start_time=self._nanoseconds(at))
        span.set_attributes(
            {
                "everyitem.node_id": node_id,
                "everyitem.holder": holder,
                "everyitem.attempt": lease.attempt,
                "everyitem.items": len(lease.indices),
            }
        )
        self._slices[holder, lease.lease_id] = _Slice(span, at)

    def heard(self, message: NodeMessage) -> None:
        match message:
            case OutcomesArrived():
                self._count((message.holder, message.lease_id), message.block, message.at)
            case SliceFinished():
                key = message.holder, message.lease_id
                self._count(key, message.block, message.at)
                self._end_slice(key, message.at)
            case HolderLost():
                # what it recovered is of any of its leases; its items are shown below the oldest
                lost = [key for key in self._slices if key[0] == message.holder]
                for key in lost[:1]:
                    self._count(key, message.block, message.at)
                for key in lost:
                    self._end_slice(key, message.at, why=message.reason)

    def saved(self, began: float, ended: float, segments: int) -> None:
        span = self._tracer.start_span(
            "checkpoint", context=self._within, start_time=self._nanoseconds(began)
        )
        span.set_attribute("everyitem.segments", segments)
        span.end(self._nanoseconds(ended))

    def ended(self, status: ExecutionStatus, code: str, message: str) -> None:
        now = time.monotonic()
        for key in list(self._slices):
            self._end_slice(key, now, why="the run ended first")
        self._batch.set_attribute("everyitem.status", status)
        if code:
            self._batch.set_attribute("error.type", code)
            self._batch.set_status(Status(StatusCode.ERROR, redact(message)))
        self._batch.end(self._nanoseconds(now))

    def _count(self, key: tuple[str, int], block: OutcomeBlock, at: float) -> None:
        found = self._slices.get(key)
        if found is None:  # revoked, or of a run before
            return
        found.succeeded += sum(map(len, block.successes))
        found.failed += len(block.failures)
        if self._every:
            self._show_items(found, block, at)

    def _end_slice(self, key: tuple[str, int], at: float, why: str = "") -> None:
        found = self._slices.pop(key, None)
        if found is None:
            return
        found.span.set_attribute("everyitem.succeeded", found.succeeded)
        found.span.set_attribute("everyitem.failed", found.failed)
        if why:
            found.span.set_status(Status(StatusCode.ERROR, redact(why)))
        found.span.end(self._nanoseconds(at))

    def _show_items(self, found: "_Slice", block: OutcomeBlock, at: float) -> None:
        within = trace.set_span_in_context(found.span)
        for attempt, index, duration_us, failure in _chosen(block, self._every):
            # workers time attempts; when each began is known to the message it came with only
            began = max(found.began, at - duration_us / 1e6)
            span = self._tracer.start_span("item", context=within, start_time=self._nanoseconds(began))
            span.set_attribute("everyitem.index", index)
            span.set_attribute("everyitem.attempt", attempt)
            if failure is not None:
                span.set_attribute("error.type", failure.type)
                span.set_status(Status(StatusCode.ERROR, redact(failure.message)))
            span.end(self._nanoseconds(began) + 1000 * duration_us)

    def _nanoseconds(self, at: float) -> int:
        return self._epoch + round(at * 1e9)


class _Slice:
    """A lease somebody works on, and what came of it so far."""

    __slots__ = ("began", "failed", "span", "succeeded")

    def __init__(self, span: Span, began: float) -> None:
        self.span, self.began = span, began
        self.succeeded = self.failed = 0


def _chosen(block: OutcomeBlock, every: int) -> Iterator[tuple[int, int, int, Failure | None]]:
    """Attempt, index, microseconds and failure of the items with spans."""
    for run in block.successes:
        position = 0
        for first, count in run.ranges:
            for index in range(first + -first % every, first + count, every):
                yield run.attempt, index, run.durations_us[position + index - first], None
            position += count
    for failure in block.failures:
        if failure.index % every == 0:
            yield failure.attempt, failure.index, failure.duration_us, failure


def _surroundings(environment: Mapping[str, str]) -> Context:
    """The span the caller is in, else the one its environment names, else none."""
    if trace.get_current_span().get_span_context().is_valid:
        return trace.set_span_in_context(trace.get_current_span())
    carrier = {"traceparent": environment.get("TRACEPARENT", "")}
    return _PROPAGATOR.extract(carrier | {"tracestate": environment.get("TRACESTATE", "")})
