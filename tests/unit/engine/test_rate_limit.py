"""The rules of the rate limit."""

from bisect import bisect_left
from itertools import accumulate

import pytest

from everyitem.engine.rate_limit import SLACK, RateLimit


def begun(limit: RateLimit, unit: int, seconds: float, step: float) -> list[tuple[float, int]]:
    """What begins when everything that may begin does, looked at every `step` seconds."""
    begun, number = [], 0
    while (at := number * step) < seconds:
        if (items := limit.available(at) // unit * unit) > 0:
            limit.take(items)
            begun.append((at, items))
        number += 1
    return begun


@pytest.mark.parametrize("per_second", [0.5, 7.0, 50.0, 5000.0])
@pytest.mark.parametrize("unit", [1, 10])
def test_no_second_sees_more_than_the_rate(per_second: float, unit: int) -> None:
    """But for one call and what a late waking may make up for."""
    starts = begun(RateLimit(per_second, unit=unit, at=0.0), unit, 10.0, 0.001)
    most = per_second * (1 + SLACK) + unit
    times = [at for at, _ in starts]
    before = [0, *accumulate(items for _, items in starts)]
    for place, first in enumerate(times):
        assert before[bisect_left(times, first + 1.0)] - before[place] <= most + 1e-6


@pytest.mark.parametrize("per_second", [0.5, 7.0, 50.0, 5000.0])
def test_the_rate_is_used_up(per_second: float) -> None:
    """Who wakes up when told to wastes nothing."""
    limit = RateLimit(per_second, unit=1, at=0.0)
    at, count = 0.0, 0
    while at < 20.0:
        items = limit.available(at)
        limit.take(items)
        count += items
        at = max(at + 1e-6, limit.next_at())
    assert 0.99 * 20 * per_second <= count <= 1.01 * 20 * per_second + 1


def test_what_was_not_used_is_lost() -> None:
    """A pause is no credit for a burst."""
    limit = RateLimit(100.0, unit=1, at=0.0)
    assert limit.available(3600.0) <= 1 + 100 * SLACK
