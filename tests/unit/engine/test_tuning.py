"""How much of the best fixed number's throughput is reached, in virtual time: the rule of issue 7."""

import random

import pytest
from tests.unit.engine.virtual_batch import VirtualBatch
from tests.unit.engine.virtual_work import Call, run

from everyitem.engine.tuning import ARRIVING


def waiting(seconds: float) -> Call:
    """Calls that only wait, each a little longer or shorter."""
    return lambda _at, _beside, chance: (seconds * chance.uniform(0.98, 1.05), True)


def on_two_cores(_at: float, beside: int, chance: random.Random) -> tuple[float, bool]:
    """Calls that compute share two cores."""
    return 0.002 * max(1.0, beside / 2) * chance.uniform(0.9, 1.1), True


def slower_beyond_20(_at: float, beside: int, chance: random.Random) -> tuple[float, bool]:
    """A dependency whose latency rises beyond 20 calls at the same time."""
    return 0.05 * max(1.0, beside / 20) ** 2 * chance.uniform(0.98, 1.02), True


def one_in_a_hundred_is_slow(_at: float, _beside: int, chance: random.Random) -> tuple[float, bool]:
    """Calls that take forty times as long as the others, now and then."""
    return (0.4 if chance.random() < 0.01 else 0.01), True


def ever_less_from_each(_at: float, beside: int, chance: random.Random) -> tuple[float, bool]:
    """A tenth of the work is done one call at a time: each slot more helps less, and none is the last."""
    return 0.01 * (1 + 0.1 * (beside - 1)) * chance.uniform(0.95, 1.05), True


class Refusing:
    """A dependency that answers 50 calls a second and refuses the others."""

    def __init__(self) -> None:
        self._tokens = self._at = 0.0

    def __call__(self, at: float, _beside: int, chance: random.Random) -> tuple[float, bool]:
        # each run begins at 0
        self._tokens, self._at = min(5.0, self._tokens + max(0.0, at - self._at) * 50), at
        answers = self._tokens >= 1
        self._tokens -= answers
        return 0.02 * chance.uniform(0.98, 1.02), answers


@pytest.mark.parametrize(
    ("call", "items", "most"),
    [
        (waiting(0.02), 20_000, 40),
        (waiting(0.1), 6_000, 40),
        (on_two_cores, 12_000, 8),
        (slower_beyond_20, 5_000, 40),
        (Refusing(), 800, 20),
        (one_in_a_hundred_is_slow, 25_000, 40),
        (ever_less_from_each, 8_000, 40),
    ],
)
def test_from_a_tenth_of_the_batch_on_nearly_as_much_is_done_as_could_be(
    call: Call, items: int, most: int
) -> None:
    """At least 95 % of the best fixed number's throughput, that found by trying each of them, and soon."""
    fixed = {slots: run(call, items // 20, most=most, fixed=slots).whole for slots in range(1, most + 1)}
    best = max(fixed, key=lambda slots: fixed[slots])
    as_good_as_any = run(call, items, most=most, fixed=best)
    tuned = run(call, items, most=most)
    assert tuned.late >= 0.95 * as_good_as_any.late
    # of a batch of some fifteen seconds; the shorter ones of this test are given as many seconds
    share = 0.1 * max(1.0, 15.0 * as_good_as_any.late / items)
    assert tuned.reached_after(0.95 * as_good_as_any.late) <= share


def test_of_numbers_that_are_as_good_the_smallest_is_found() -> None:
    """Work on two cores leaves the other six slots, and their memory, alone."""
    assert run(on_two_cores, 12_000, most=8).slots <= 2


def test_workers_that_take_a_second_to_start_are_waited_for() -> None:
    """Twice as many workers that are not there yet do no more: that says nothing about them."""
    batch = VirtualBatch(4_000, lambda *_: (0.1, None), slots=5, most=20, arriving=lambda _: 1.0).run()
    assert [slots for _, slots in batch.changes[:2]] == [10, 20]
    assert all(slots >= 16 for _, slots in batch.changes[1:])


def test_workers_that_never_come_are_not_waited_for_for_ever() -> None:
    """What the others do is judged after a while, whoever is missing."""
    workers = VirtualBatch(
        1_000, lambda *_: (0.1, None), slots=5, most=20, arriving=lambda number: 0.0 if number <= 5 else 1e6
    )
    (grown, slots), (judged, _), *_ = workers.run().changes
    assert slots == 10
    assert ARRIVING < judged - grown < ARRIVING + 1.0
