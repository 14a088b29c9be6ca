"""One run as spans: what is below what, when it was, and what it says."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from everyitem.adapters.traces.spans import RunSpans
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure, OutcomeBlock, Successes
from everyitem.model.status import ExecutionStatus
from everyitem.ports.node import HolderLost, Lease, OutcomesArrived, SliceFinished
from everyitem.ports.observer import RunView

RUN = RunView(
    execution_key=1, batch_id="b", execution=2, round=1, run=3, processor="p", items=6, began_at=0.0
)
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Collector:
    def __init__(self):
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = provider.get_tracer("test")

    def named(self, name):
        return [span for span in self.exporter.get_finished_spans() if span.name == name]


@pytest.fixture
def collector():
    return Collector()


def block(first, count, *failures):
    texts = b"[" + b",".join([b"1"] * count) + b"]"
    return OutcomeBlock([Successes([(first, count)], 1, [1000] * count, texts)], list(failures))


def failure(index, message="no"):
    return Failure(index, 1, ErrorCode.ITEM_ERROR, "ValueError", message, duration_us=2000)


def test_checkpoints_and_slices_are_below_the_batch(collector):
    """And last as long as they were said to."""
    spans = RunSpans(collector.tracer)
    spans.began(RUN)
    spans.leased(10.0, "n", "h", Lease(1, range(6)))
    spans.heard(OutcomesArrived(10.1, "h", 1, block(0, 2)))
    spans.heard(SliceFinished(10.5, "h", 1, block(2, 3, failure(5))))
    spans.saved(10.5, 10.75, 2)
    spans.ended(ExecutionStatus.COMPLETED_WITH_ERRORS, "", "")
    (batch,), (slice_,), (checkpoint,) = map(collector.named, ("batch", "slice", "checkpoint"))
    assert slice_.parent.span_id == checkpoint.parent.span_id == batch.context.span_id
    assert slice_.end_time - slice_.start_time == pytest.approx(0.5e9, abs=1000)
    assert checkpoint.end_time - checkpoint.start_time == pytest.approx(0.25e9, abs=1000)
    assert (slice_.attributes["everyitem.succeeded"], slice_.attributes["everyitem.failed"]) == (5, 1)
    assert batch.attributes["everyitem.batch_id"] == "b"
    assert batch.status.status_code is StatusCode.UNSET
    assert not collector.named("item")


def test_the_share_of_items_that_is_asked_for_has_spans_below_their_slice(collector):
    """Every second one; one that failed says why, its secrets hidden."""
    spans = RunSpans(collector.tracer, item_share=0.5)
    spans.leased(10.0, "n", "h", Lease(1, range(1, 7)))
    spans.heard(SliceFinished(10.5, "h", 1, block(1, 5, failure(6, "password=hunter2"))))
    (slice_,) = collector.named("slice")
    items = collector.named("item")
    assert [span.attributes["everyitem.index"] for span in items] == [2, 4, 6]
    assert {span.parent.span_id for span in items} == {slice_.context.span_id}
    assert items[0].end_time - items[0].start_time == 1_000_000
    assert items[-1].status.status_code is StatusCode.ERROR
    assert "hunter2" not in items[-1].status.description


def test_a_lost_worker_ends_its_slices_as_errors_and_a_late_message_changes_nothing(collector):
    """What it had done is counted; other holders go on."""
    spans = RunSpans(collector.tracer)
    spans.leased(10.0, "n", "h", Lease(1, range(2)))
    spans.leased(10.0, "n", "other", Lease(2, range(2, 4)))
    spans.heard(HolderLost(10.2, "h", block(0, 1), "killed"))
    spans.heard(SliceFinished(10.3, "h", 1, block(1, 1)))
    (slice_,) = collector.named("slice")
    assert (slice_.status.status_code, slice_.status.description) == (StatusCode.ERROR, "killed")
    assert slice_.attributes["everyitem.succeeded"] == 1


def test_the_end_of_a_run_ends_everything_and_says_how_it_ended(collector):
    """No span is left open, so none is missing at the collector."""
    spans = RunSpans(collector.tracer)
    spans.leased(10.0, "n", "h", Lease(1, range(2)))
    spans.ended(ExecutionStatus.FAILED, "TIMEOUT_ERROR", "out of time; token=abcdef123")
    (batch,) = collector.named("batch")
    assert len(collector.named("slice")) == 1
    assert batch.attributes["error.type"] == "TIMEOUT_ERROR"
    assert batch.status.description.startswith("out of time")
    assert "abcdef123" not in batch.status.description


def test_a_run_belongs_to_the_trace_of_whoever_started_it(collector, monkeypatch):
    """From the environment; the caller's own span comes first. The run's own context is handed on."""
    monkeypatch.setenv("TRACEPARENT", GIVEN)
    spans = RunSpans(collector.tracer)
    assert spans.traceparent.startswith(GIVEN[:36])
    assert spans.traceparent != GIVEN
    with collector.tracer.start_as_current_span("caller") as caller:
        inside = RunSpans(collector.tracer)
    assert inside.traceparent[3:35] == f"{caller.get_span_context().trace_id:032x}"


def test_a_run_nobody_traces_has_a_trace_of_its_own(collector, monkeypatch):
    """An unusable TRACEPARENT is none."""
    monkeypatch.setenv("TRACEPARENT", "nonsense")
    assert RunSpans(collector.tracer).traceparent[3:35] != GIVEN[3:35]
