"""The dealer: who gets work when a node uses fewer slots than it has workers."""

from everyitem.engine.dealer import Dealer
from everyitem.engine.ledger import Ledger
from everyitem.engine.messages import RunSlice
from everyitem.engine.retries import RetryHeap


def dealer_with(workers: int, *, items: int = 100) -> Dealer:
    """One process node `n` with so many workers."""
    dealer = Dealer(Ledger(bytearray(items)), RetryHeap(), until_failure=False, isolating=["n"])
    dealer.queues.put("n", 0, items)
    for number in range(workers):
        dealer.join(f"n/{number}", "n", 1, shared=False)
    return dealer


def who_gets_work(dealer: Dealer) -> list[str]:
    return [command.holder for command in dealer.deal(0.0) if isinstance(command, RunSlice)]


def test_no_more_workers_are_busy_than_the_node_uses_slots() -> None:
    """The third one waits."""
    dealer = dealer_with(3)
    dealer.resize("n", 2)
    assert who_gets_work(dealer) == ["n/0", "n/1"]
    assert who_gets_work(dealer) == []


def test_a_worker_that_waits_takes_the_slot_of_one_that_is_lost() -> None:
    """Whether that one was busy, or idle at that moment."""
    for was_busy in (True, False):
        dealer = dealer_with(3)
        dealer.resize("n", 2)
        who_gets_work(dealer)
        if not was_busy:
            dealer.finish("n/1", 2, 0.1)
        dealer.lose("n/1", 0.1)
        assert who_gets_work(dealer) == ["n/2"]


def test_workers_that_waited_get_work_when_the_node_uses_more_slots() -> None:
    """From none to all of them."""
    dealer = dealer_with(3)
    dealer.resize("n", 0)
    assert who_gets_work(dealer) == []
    assert not dealer.wants_more
    dealer.resize("n", 3)
    assert who_gets_work(dealer) == ["n/0", "n/1", "n/2"]
