"""What the log says of failed items, when there are many alike."""

import pytest

from everyitem.engine.item_log import ItemLog
from everyitem.engine.storms import SINGLY
from everyitem.model.status import ExecutionStatus
from everyitem.ports.outcome import FailedItem


@pytest.mark.parametrize(("more", "said"), [(1, "1 more item failed"), (2500, "2,500 more items failed")])
def test_those_that_are_alike_are_counted(caplog: pytest.LogCaptureFixture, more: int, said: str) -> None:
    """In one sentence a person can read, however many there are."""
    log = ItemLog(clock=lambda: 0.0)
    log.failed(
        [FailedItem(k, str(k), 1, "ITEM_ERROR", "ValueError", "no", 0.0) for k in range(SINGLY + more)]
    )
    log.ended(ExecutionStatus.COMPLETED, "", "")
    assert caplog.messages[-1].startswith(said)
