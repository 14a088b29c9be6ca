"""F21: the wall clock is set while a batch runs; only printed times may notice."""

import itertools
import time
from pathlib import Path

import pytest

import everyitem

ITEMS = 200
DAY = 86_400.0


@pytest.mark.parametrize("steps", [(0.0, DAY), (0.0, -DAY), (3600.0, -3600.0, DAY)], ids=str)
def test_a_batch_does_not_notice_that_the_clock_is_set(
    steps: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set at every look: no timeout comes early, no retry is lost, and durations stay what they are."""
    real = time.time
    offsets = itertools.cycle(steps)
    monkeypatch.setattr(time, "time", lambda: real() + next(offsets))

    @everyitem.item_processor
    def flaky(item, context):
        if item % 10 == 0 and context.attempt == 1:
            raise ValueError("not at first")
        return item

    document = {
        "batchId": "clocks",
        "batchItems": list(range(ITEMS)),
        "batchConfiguration": {
            "itemProcessor": "flaky",
            "checkpointInterval": 10,
            "retryPolicy": {"maxRetryAttempts": 2, "initialDelayMs": 5},
        },
    }
    begun = time.monotonic()
    response = everyitem.run(document, store=f"sqlite:///{tmp_path / 's.db'}")
    took = time.monotonic() - begun
    assert response.is_success
    assert (response.items_successful, response.items_failed) == (ITEMS, 0)
    assert 0 <= response.duration_seconds <= took
