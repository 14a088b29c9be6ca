"""Accounts: what a block says is taken in the order in which it happened."""

from collections.abc import Callable

import pytest
from tests.unit.engine.driver import Driver

from everyitem.engine.accounting import in_their_order
from everyitem.engine.breaker import Standing
from everyitem.model.errors import ErrorCode
from everyitem.model.outcome import UNREACHABLE, Failure, OutcomeBlock, Successes


def refused(index: int) -> Failure:
    return Failure(index, 1, ErrorCode.ITEM_ERROR, "ConnectionRefusedError", "refused", family=UNREACHABLE)


@pytest.mark.parametrize(
    ("ranges", "failed", "expected"),
    [
        ([], [], [(0, None)]),
        ([(0, 5)], [], [(5, None)]),
        ([], [3, 1], [(0, 1), (0, 3), (0, None)]),
        ([(0, 2), (3, 4), (8, 1)], [2, 7, 9], [(2, 2), (4, 7), (1, 9), (0, None)]),
        ([(10, 5), (0, 5)], [7], [(5, 7), (5, None)]),
        ([(0, 10)], [4], [(4, 4), (6, None)]),
    ],
)
def test_failures_are_told_with_what_succeeded_before_them(
    ranges: list[tuple[int, int]], failed: list[int], expected: list[tuple[int, int | None]]
) -> None:
    """By item, whatever the order of the block; no success is lost or told twice."""
    told = in_their_order(ranges, [refused(index) for index in failed])
    assert [(before, None if one is None else one.index) for before, one in told] == expected


def block_of(done: list[int], failed: list[int], *, seconds: float = 1e-6) -> OutcomeBlock:
    text = b"[" + b",".join(b"%d" % index for index in done) + b"]"
    run = Successes([(index, 1) for index in done], 1, [round(seconds * 1e6)] * len(done), text)
    return OutcomeBlock([run] if done else [], [refused(index) for index in failed])


def breaker_after(fails: Callable[[int, int], bool]) -> Standing:
    """The breaker after one large block; `fails` is asked with a place in it and its length."""
    driver = Driver(100_000)
    (lease,) = driver.join(slots=1)
    while len(lease.indices) < 400:
        driver.now += 0.001
        (lease,) = driver.finish(lease, block_of(list(lease.indices), []))
    indices = list(lease.indices)
    failed = [index for place, index in enumerate(indices) if fails(place, len(indices))]
    driver.arrive(lease, block_of([index for index in indices if index not in failed], failed))
    return driver.state.pacing.breaker.standing


def test_every_twentieth_of_a_large_block_is_no_outage() -> None:
    """A block tells its failures behind its successes: twenty of them, but not one behind the other."""
    assert breaker_after(lambda place, _: place % 20 == 0) is Standing.CLOSED


def test_all_of_the_end_of_a_large_block_is_one() -> None:
    """However many items succeeded before the dependency went away."""
    assert breaker_after(lambda place, count: place >= count - 20) is Standing.OPEN


@pytest.mark.parametrize(
    ("seconds", "unit", "standing"),
    [(8.0, 1, Standing.OPEN), (4.9, 1, Standing.HALF_OPEN), (4.9, 2, Standing.OPEN)],
    ids=["under way", "begun since", "under way in a chunk"],
)
def test_what_was_under_way_when_an_outage_began_says_nothing_of_it(
    seconds: float, unit: int, standing: Standing
) -> None:
    """An old call ends well while a probe runs: it had what it needed before. Only a new one counts."""
    driver = Driver(100, nodes=(("n", 40),), parallelism=40, unit=unit)
    leases = driver.join(slots=40, shared=True)
    old = leases[0].indices[0]
    for lease in leases:
        driver.arrive(lease, block_of([], [index for index in lease.indices if index != old]))
    breaker = driver.state.pacing.breaker
    assert breaker.standing is Standing.OPEN
    opened_at, driver.now = driver.now, driver.now + 6.0
    breaker.probes()
    driver.arrive(leases[0], block_of([old], [], seconds=seconds))
    assert breaker.standing is standing
    assert breaker.idle_since == opened_at + 6.0, (
        "who waits for an outage to end sees that something succeeds"
    )
