"""What the API says of an execution, from its record."""

import pytest

from everyitem.faces.api.views import Status
from everyitem.model.status import ExecutionStatus
from everyitem.ports.checkpoint import Counters
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.progress import Progress


def record(**changes):
    values = {
        "execution_key": 1,
        "batch_id": "b",
        "execution": 1,
        "round": 1,
        "status": ExecutionStatus.RUNNING,
        "content": "",
        "items_digest": "",
        "item_count": 100,
        "named": False,
        "processor": "p",
        "processor_code": "",
        "envelope": b"{}",
        "settings": b"{}",
        "source": None,
        "created_at": 0.0,
        "finished_at": None,
        "runs": 1,
        "counters": Counters(succeeded=10, failed=1),
        "progress": Progress(succeeded=20, failed=2, in_flight=4, rate_per_second=5.04, eta_seconds=15.55),
        "response": None,
        "last_checkpoint_at": None,
        "owned": True,
    }
    return ExecutionRecord(**{**values, **changes})


@pytest.mark.parametrize(
    ("status", "owned", "runs", "state"),
    [
        ("RUNNING", True, 1, "RUNNING"),
        ("PAUSED", True, 1, "PAUSED"),
        ("RUNNING", False, 1, "INTERRUPTED"),
        ("PAUSED", False, 1, "INTERRUPTED"),
        ("QUEUED", True, 1, "RUNNING"),
        ("QUEUED", False, 1, "INTERRUPTED"),
        ("QUEUED", False, 0, "QUEUED"),
        ("FAILED", True, 2, "RUNNING"),
        ("COMPLETED", False, 1, "COMPLETED"),
    ],
)
def test_the_state_is_what_is_true_now(status, owned, runs, state):
    """A living owner works on it; a dead one left it interrupted, whatever it last wrote."""
    assert Status.of(record(status=ExecutionStatus(status), owned=owned, runs=runs)).state == state


def test_a_living_owners_progress_counts():
    """Between checkpoints too; open is what is left."""
    status = Status.of(record())
    assert (status.succeeded, status.failed, status.open, status.in_flight) == (20, 2, 78, 4)
    assert (status.rate_per_second, status.eta_seconds) == (5.0, 15.6)


def test_only_checkpoints_count_without_an_owner():
    """What a dead owner said last is not recorded."""
    status = Status.of(record(owned=False))
    assert (status.succeeded, status.failed, status.open, status.in_flight) == (10, 1, 89, 0)
    assert status.eta_seconds is None
