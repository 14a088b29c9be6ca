"""What a run tells of itself between its checkpoints, and how often."""

from typing import Any

import jsonschema_rs  # comes with schemathesis
import msgspec
import pytest

from everyitem.engine import events
from everyitem.engine.announcements import EVERY, Announcements
from everyitem.faces.documents.schemas import event_schema
from everyitem.model.cloud_event import CloudEvent
from everyitem.model.figures import Figures
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem
from everyitem.ports.progress import Progress


@pytest.fixture
def record() -> ExecutionRecord:
    """An execution of a hundred items in its third run."""
    known: dict[str, Any] = {
        name: ""
        for name in ExecutionRecord.__struct_fields__
        if name not in ExecutionRecord.__struct_defaults__
    }
    known |= {"execution_key": 1, "batch_id": "b", "execution": 2, "round": 1, "runs": 3, "item_count": 100}
    return ExecutionRecord(**known | {"status": ExecutionStatus.RUNNING, "counters": Counters()})


def progress(done: int = 10, *, slots: int = 4, eta: float | None = 5.0, **figures: Any) -> Progress:
    return Progress(succeeded=done, parallelism=slots, eta_seconds=eta, figures=Figures(**figures))


def kinds(told: list[OutboxEvent]) -> list[str]:
    return [event.type for event in told]


def test_a_run_tells_once_that_it_has_begun(record):
    """The end of a pause is no beginning."""
    one = Announcements(record)
    assert kinds(one.of(ExecutionStatus.RUNNING, None, 0.0)) == ["BatchStarted"]
    assert kinds(one.of(ExecutionStatus.RUNNING, None, 1.0)) == []
    assert kinds(Announcements(record).of(ExecutionStatus.PAUSED, None, 1.0)) == []


def test_progress_is_told_now_and_then(record):
    """With each transaction would be too much; a clock that is set back does not silence it."""
    one = Announcements(record)
    one.of(ExecutionStatus.RUNNING, None, 100.0)
    assert kinds(one.of(None, progress(), 100.0 + EVERY - 0.1)) == []
    assert kinds(one.of(None, progress(), 100.0 + EVERY)) == ["BatchProgressed"]
    assert kinds(one.of(None, progress(), 101.0 + EVERY)) == []
    assert kinds(one.of(None, progress(), 50.0)) == ["BatchProgressed"]


def test_other_slots_are_told_of(record):
    """What the run began with is no change."""
    one = Announcements(record)
    one.of(ExecutionStatus.RUNNING, None, 0.0)
    assert kinds(one.of(None, progress(slots=4), 1.0)) == []
    (told,) = one.of(None, progress(slots=8), 2.0)
    assert msgspec.json.decode(told.data)["slotsBefore"] == 4
    assert kinds(one.of(None, progress(slots=8), 3.0)) == []


@pytest.mark.parametrize(
    ("used", "eta", "done", "is_told"),
    [(80.0, 21.0, 10, True), (80.0, None, 10, True), (79.0, 99.0, 10, False), (80.0, 19.0, 10, False),
     (99.0, None, 100, False)],
)  # fmt: skip
def test_a_late_end_is_told_once(record, used, eta, done, is_told):
    """When most of the window is used up, and the rest will not do."""
    one = Announcements(record)
    one.of(ExecutionStatus.RUNNING, None, 0.0)
    late = progress(done, eta=eta, window=100.0, window_used=used)
    assert kinds(one.of(None, late, 1.0)) == ["BatchDeadlineAtRisk"] * is_told
    assert kinds(one.of(None, late, 2.0)) == []


def test_every_event_is_as_its_schema_says_and_has_an_id_of_its_own(record):
    """Also those of another run, and of the same item in another round."""
    told = []
    for number in (3, 4):
        run = msgspec.structs.replace(record, runs=number)
        one = Announcements(run)
        told += one.of(ExecutionStatus.RUNNING, progress(window=10.0, window_used=9.0), 0.0)
        told += one.of(None, progress(slots=9), EVERY)
        told += one.of(None, progress(slots=3), 2 * EVERY)
    item = FailedItem(
        index=7, item_id="x", attempts=2, code="ITEM_ERROR", type="E", message="m", duration_ms=1.0, frames=[]
    )
    told += [
        events.item_failed(msgspec.structs.replace(record, round=number), item, at=0.0) for number in (1, 2)
    ]
    assert len({event.event_id for event in told}) == len(told)
    assert told[-1].subject == "b/x"
    schema = event_schema()
    for event in told:
        cloud = CloudEvent(
            id=event.event_id, type=event.type, subject=event.subject, time="2026-11-27T00:00:00Z",
            data_json=msgspec.Raw(event.data), sequence=1,
        )  # fmt: skip
        jsonschema_rs.validate(schema, msgspec.json.decode(msgspec.json.encode(cloud)))
