"""A dependency is away for a minute in the middle of a batch: what it costs, in virtual time."""

import functools
from collections.abc import Callable

import pytest
from tests.unit.engine.virtual_batch import VirtualBatch

from everyitem.engine.ledger import Mark
from everyitem.engine.messages import Ending
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure

#: Seconds of a call while all is well, and of the outage: from when to when.
CALL = 0.4
AWAY, BACK = 40.0, 100.0
ITEMS, SLOTS = 2_800, 5
#: Seconds a batch may take longer (issue 7).
LONGER = 75.0

#: What calls of an item come to during the outage.
Outage = Callable[[int, int], tuple[float, Failure]]


def refused(index: int, attempt: int) -> tuple[float, Failure]:
    """The connection is refused at once."""
    return 0.001, Failure(index, attempt, ErrorCode.ITEM_ERROR, "ConnectionRefusedError", "refused")


def hangs(index: int, attempt: int) -> tuple[float, Failure]:
    """Nothing answers, and the time of the item runs out."""
    return 5.0, Failure(index, attempt, ErrorCode.TIMEOUT_ERROR, "TimeoutError", "no answer in 5 s")


def server_error(index: int, attempt: int) -> tuple[float, Failure]:
    """Somebody answers, that it is no use."""
    return 0.2, Failure(index, attempt, ErrorCode.ITEM_ERROR, "HTTPStatusError", "503")


def says_when(index: int, attempt: int) -> tuple[float, Failure]:
    """Somebody answers, and says when to come again."""
    return 0.2, Failure(index, attempt, ErrorCode.ITEM_ERROR, "RetryLater", "later", retry_after=10.0)


@functools.cache
def run(outage: Outage | None, *, most: int | None) -> VirtualBatch:
    """The batch with or without an outage."""

    def call(at: float, index: int, attempt: int) -> tuple[float, Failure | None]:
        if outage is not None and AWAY <= at < BACK:
            return outage(index, attempt)
        return CALL, None

    return VirtualBatch(ITEMS, call, slots=SLOTS, most=most).run()


@pytest.mark.parametrize("most", [None, 8], ids=["fixed", "found"])
@pytest.mark.parametrize("outage", [refused, hangs, server_error, says_when])
def test_a_minute_without_a_dependency_fails_nothing_and_costs_little_more(
    outage: Outage, most: int | None
) -> None:
    """0 items failed by it, at most 75 s longer."""
    undisturbed, disturbed = run(None, most=most), run(outage, most=most)
    assert undisturbed.now > BACK, "the batch was over before the outage was"
    assert disturbed.verdict is not None and disturbed.verdict.ending is Ending.COMPLETED
    assert not disturbed.state.ledger.runs(Mark.FAILED)
    assert disturbed.now - undisturbed.now <= LONGER
