"""A storm of equal failures is summed up; other failures are told one by one."""

from everyitem.engine.storms import MOST_CAUSES, SINGLY, WINDOW, Storms
from everyitem.ports.outcome import FailedItem


def failed(number, message="row {} is broken", kind="ValueError"):
    return FailedItem(number, f"t-{number}", 4, "ITEM_ERROR", kind, message.format(number), 1.0)


def test_the_first_of_a_cause_are_told_and_the_rest_is_counted():
    """Numbers in the message make no new cause; nothing is counted twice, nothing is lost."""
    storms = Storms()
    told = list(storms.take(map(failed, range(1000)), at=0.0))
    assert [one.index for one in told] == list(range(SINGLY))
    assert list(storms.summaries(at=WINDOW - 0.1)) == []
    (summary,) = storms.summaries(at=WINDOW)
    assert (summary.count, summary.first.index, summary.last.index) == (1000 - SINGLY, SINGLY, 999)


def test_a_new_window_tells_them_one_by_one_again():
    """A storm that goes on is heard of every minute."""
    storms = Storms()
    list(storms.take(map(failed, range(10)), at=0.0))
    list(storms.summaries(at=WINDOW))
    assert len(list(storms.take(map(failed, range(10)), at=WINDOW))) == SINGLY


def test_different_causes_do_not_hide_one_another():
    """A rare failure is told while a storm of another goes on."""
    storms = Storms()
    list(storms.take(map(failed, range(1000)), at=0.0))
    assert list(storms.take([failed(7, "disk {} is full", "OSError")], at=1.0))


def test_memory_is_bounded_by_the_number_of_causes():
    """A message that is always new is one cause more, not thousands."""
    storms = Storms()
    letters = ["".join(chr(97 + int(digit)) for digit in str(number)) for number in range(5000)]
    told = list(storms.take((failed(1, letter) for letter in letters), at=0.0))
    assert len(told) <= MOST_CAUSES + SINGLY
    assert len(told) + sum(one.count for one in storms.summaries(1.0, is_end=True)) == 5000


def test_the_end_sums_up_what_is_left():
    """No window has to be waited for."""
    storms = Storms()
    list(storms.take(map(failed, range(8)), at=0.0))
    assert [one.count for one in storms.summaries(at=0.5, is_end=True)] == [8 - SINGLY]
