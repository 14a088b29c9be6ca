"""What is said of a batch before it runs."""

from dataclasses import replace

import pytest

from everyitem.faces.api.forecast import Forecast, Measured, forecast
from everyitem.faces.api.sampling import share_out
from everyitem.model.batch import ProcessingBatch
from everyitem.model.configuration import ProcessingConfiguration
from everyitem.model.items import InMemoryItems
from everyitem.model.plan import ExecutionPlan
from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec


def batch(
    items: int = 1000, *, slots: int = 10, parallelism: int = 5, timeout: float = 3600.0
) -> ProcessingBatch:
    return ProcessingBatch(
        batch_id="b",
        items=InMemoryItems(b"[" + b",".join([b"1"] * items) + b"]", named=False),
        configuration=ProcessingConfiguration(processor="p", parallelism=parallelism, timeout=timeout),
        resources=AllocatedResources(nodes=(NodeSpec(node_id="n", kind=NodeKind.THREAD, slots=slots),)),
        plan=ExecutionPlan(),
    )


def measured(parallelism: int, seconds: float, count: int = 20, **more: object) -> Measured:
    made = Measured(parallelism=parallelism, seconds=[seconds] * count)
    return Measured(**{name: getattr(made, name) for name in made.__struct_fields__} | more)


def expect(batch: ProcessingBatch, *seen: Measured) -> Forecast:
    made = forecast(batch, seen, basis="sample", now=0.0)
    assert made is not None
    return made


def test_duration_is_items_over_throughput() -> None:
    """A thousand items of 0.1 s, five at a time: 20 s, and it says when that is."""
    made = expect(batch(), measured(1, 0.1), measured(5, 0.1))
    assert made.duration_seconds == pytest.approx(20.0, rel=1e-3)
    assert made.finishes_at == "1970-01-01T00:00:20Z"


def test_more_parallelism_is_advised_where_it_helps() -> None:
    """And only then: not for a dependency that is at its limit."""
    waiting = expect(batch(), measured(1, 0.1), measured(5, 0.1), measured(10, 0.1))
    assert waiting.advice[0].startswith("--parallelism 10 would take 10 s instead of 20 s")
    saturated = expect(batch(), measured(1, 0.1), measured(5, 0.5), measured(10, 1.0))
    assert not any(advice.startswith("--parallelism 10") for advice in saturated.advice)


def test_less_parallelism_is_advised_where_items_hinder_one_another() -> None:
    """Beyond the best point everything takes longer."""
    seen = [measured(p, 0.1 * (1 + 0.3 * (p - 1) ** 2)) for p in (1, 5, 10)]
    made = expect(batch(parallelism=10), *seen)
    assert any("would do: items hinder one another" in advice for advice in made.advice)


def test_threads_that_compute_are_sent_to_processes() -> None:
    """The interpreter computes on one core at a time."""
    made = expect(batch(), measured(1, 0.1, computing=0.98), measured(5, 0.5, computing=None))
    assert any("--nodes process" in advice for advice in made.advice)
    waiting = expect(batch(), measured(1, 0.1, computing=0.1))
    assert not any("--nodes process" in advice for advice in waiting.advice)


def test_a_batch_that_will_not_end_in_time_is_told_first() -> None:
    """Nothing else matters as much."""
    made = expect(batch(timeout=10.0), measured(1, 0.1), measured(5, 0.1))
    assert made.advice[0].startswith("it will not end within its timeout")


def test_the_longest_item_bounds_the_batch() -> None:
    """However many workers there are."""
    made = expect(batch(20), replace_longest(measured(5, 0.1), 30.0))
    assert made.duration_seconds >= 30.0
    assert any("longest item" in advice for advice in made.advice)


def replace_longest(one: Measured, seconds: float) -> Measured:
    return Measured(parallelism=one.parallelism, seconds=[*one.seconds, seconds])


def test_spread_makes_bounds_wide() -> None:
    """Two standard errors; none where only a mean is known."""
    even = expect(batch(), measured(5, 0.1))
    uneven = expect(batch(), Measured(parallelism=5, seconds=[0.01, 0.19] * 10))
    assert even.at_most_seconds == pytest.approx(even.duration_seconds)
    assert uneven.at_most_seconds is not None
    assert uneven.at_most_seconds > 1.3 * uneven.duration_seconds
    assert expect(batch(), measured(5, 0.1, count=1)).at_most_seconds is None


def test_workers_that_stood_idle_count_as_such() -> None:
    """Quick items may share one thread: what counts is the time from beginning to end."""
    made = expect(batch(), measured(1, 0.1), measured(5, 0.1, elapsed=2.0))
    assert made.duration_seconds == pytest.approx(100.0, rel=1e-2)


def test_without_anything_seen_nothing_is_said() -> None:
    """Nor for an empty batch."""
    assert forecast(batch(), [], basis="history", now=0.0) is None
    assert forecast(batch(0), [measured(1, 0.1)], basis="sample", now=0.0) is None


def test_a_sample_is_spread_over_the_batch_and_each_level() -> None:
    """No item twice; a higher level has more; each has items from everywhere."""
    shares = dict(share_out(10_000, 100, [1, 5, 10]))
    together = sorted(index for indices in shares.values() for index in indices)
    assert together == list(range(0, 10_000, 100))
    assert len(shares[1]) < len(shares[5]) < len(shares[10])
    assert all(indices[0] < 2_500 and indices[-1] > 7_500 for indices in shares.values())


@pytest.mark.parametrize(("count", "size"), [(1, 100), (3, 2), (7, 7), (0, 5)])
def test_a_small_batch_gives_what_it_has(count: int, size: int) -> None:
    """Never an index that is not there."""
    dealt = [index for _, indices in share_out(count, size, [1, 5, 10]) for index in indices]
    assert sorted(dealt) == sorted(set(dealt))
    assert len(dealt) == min(count, size)
    assert all(0 <= index < count for index in dealt)


def test_slots_not_allocated_are_in_no_curve() -> None:
    """A point nobody could reach would be a lie."""
    made = expect(replace(batch(slots=4, parallelism=4)), measured(1, 0.1), measured(4, 0.1))
    assert [one.parallelism for one in made.curve] == [1, 2, 4]
    assert any("allocate more" in advice for advice in made.advice)
