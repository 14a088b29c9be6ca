"""What a display tells of failures while they happen."""

from everyitem.engine.troubles import MOST_CAUSES, Troubles
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import Failure
from everyitem.ports.progress import CauseNow


def failure(message: str, type_: str = "ValueError") -> Failure:
    return Failure(index=0, attempt=1, code=ErrorCode.ITEM_ERROR, type=type_, message=message, duration_us=1)


def test_attempts_that_are_retried_are_told_beside_items_that_failed() -> None:
    """By what they have in common; what costs items comes before what only costs time."""
    troubles = Troubles()
    for number in range(9):
        troubles.add(failure(f"no answer from server {number}", "ConnectionError"), final=False)
    troubles.add(failure("no price for 7"), final=False)
    troubles.add(failure("no price for 7"), final=True)
    assert troubles.most(5) == (
        CauseNow("ValueError: no price for 7", failed=1, retried=1),
        CauseNow("ConnectionError: no answer from server 0", failed=0, retried=9),
    )


def test_memory_is_bounded_and_the_sum_stays_right() -> None:
    """A processor whose messages have nothing in common costs a hundred texts, and no count is lost."""
    troubles = Troubles()
    for number in range(500):
        word = "".join(chr(ord("a") + int(digit)) for digit in str(number))
        troubles.add(failure(word), final=True)
    told = troubles.most(1000)
    assert len(told) == MOST_CAUSES + 1
    assert sum(one.failed for one in told) == 500
    assert told[0] == CauseNow("other causes", failed=500 - MOST_CAUSES, retried=0)
