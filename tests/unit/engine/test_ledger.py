"""The ledger counts each item once, whatever it is told."""

from everyitem.engine.ledger import Ledger, Mark


def leased(count):
    ledger = Ledger(bytearray(count))
    ledger.lease(0, count)
    return ledger


def marks(ledger):
    return [ledger.mark(index) for index in range(ledger.items)]


def test_a_run_of_leased_items_succeeds():
    """Ranges in any order, each counted."""
    ledger = leased(6)
    assert ledger.succeed([(4, 2), (0, 3)])
    assert (ledger.succeeded, ledger.open) == (5, 1)
    assert marks(ledger) == [Mark.SUCCEEDED] * 3 + [Mark.LEASED] + [Mark.SUCCEEDED] * 2


def test_a_run_with_one_item_that_has_its_outcome_is_refused_whole():
    """Nothing of it is recorded, so that the caller can choose what is still awaited."""
    ledger = leased(6)
    assert ledger.succeed([(2, 1)])
    before = marks(ledger)
    assert not ledger.succeed([(4, 2), (0, 3)])
    assert (marks(ledger), ledger.succeeded) == (before, 1)


def test_an_item_that_stands_twice_in_a_run_is_not_counted_twice():
    """The second place finds it succeeded already."""
    ledger = leased(4)
    assert not ledger.succeed([(0, 2), (1, 2)])
    assert (marks(ledger), ledger.succeeded) == ([Mark.LEASED] * 4, 0)
