"""F21: the wall clock is set while a batch runs; only printed times may notice."""

import itertools
import time
from pathlib import Path

import pytest

import everyitem

ITEMS = 200
DAY = 86_400.0


@everyitem.item_processor("clock-steps")
def fails_at_first(item, context):
    """Every tenth item fails once."""
    if item % 10 == 0 and context.attempt == 1:
        raise ValueError("not at first")
    return item


@pytest.mark.parametrize("steps", [(0.0, DAY), (0.0, -DAY), (3600.0, -3600.0, DAY)], ids=str)
def test_a_batch_does_not_notice_that_the_clock_is_set(
    steps: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set at every look: no timeout comes early, no retry is lost, and durations stay what they are."""
    real = time.time
    offsets = itertools.cycle(steps)
    monkeypatch.setattr(time, "time", lambda: real() + next(offsets))
    document = {
        "batchId": "clocks",
        "batchItems": list(range(ITEMS)),
        "processingConfiguration": {"processor": "clock-steps"},
        "allocatedResources": {},
        "executionPlan": {},
        "checkpointInterval": 10,
    }
    begun = time.monotonic()
    response = everyitem.run(document, store=f"sqlite:///{tmp_path / 's.db'}")
    took = time.monotonic() - begun
    assert response.ok
    assert response.items_successful == ITEMS
    recorded = response.metadata["executionDuration"]
    # milliseconds by the monotonic clock: never negative, never more than really passed
    assert 0 <= recorded <= took * 1000 + 1
