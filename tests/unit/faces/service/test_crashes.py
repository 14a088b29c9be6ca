"""When a batch whose process crashed is started again."""

from everyitem.faces.service.crashes import Crashes
from everyitem.faces.supervision.supervisor import FIRST_WAIT, MOST_CRASHES


def test_each_crash_in_a_row_doubles_the_rest() -> None:
    """Whatever kills it is given time to pass."""
    crashes = Crashes()
    assert [crashes.count(1, 10.0) for _ in range(2)] == [(1, FIRST_WAIT), (2, 2 * FIRST_WAIT)]
    assert not crashes.has_rested(1, 10.0)
    assert crashes.has_rested(1, 10.0 + 2 * FIRST_WAIT)


def test_a_checkpoint_makes_the_next_crash_the_first_one() -> None:
    """Only a batch that gets nowhere is given up."""
    crashes = Crashes()
    for _ in range(MOST_CRASHES - 1):
        assert crashes.count(1, 0.0)[1] is not None
    crashes.progressed(1)
    assert crashes.count(1, 0.0) == (1, FIRST_WAIT)


def test_too_many_in_a_row_are_enough() -> None:
    """It is not started any more, and what is known of it is forgotten with its end."""
    crashes = Crashes()
    counted = [crashes.count(1, 0.0) for _ in range(MOST_CRASHES)]
    assert counted[-1] == (MOST_CRASHES, None)
    crashes.forget(1)
    assert crashes.has_rested(1, 0.0)
    assert crashes.count(1, 0.0)[0] == 1


def test_batches_rest_each_for_itself() -> None:
    """A neighbour's crash costs nothing."""
    crashes = Crashes()
    crashes.count(1, 0.0)
    assert crashes.has_rested(2, 0.0)
