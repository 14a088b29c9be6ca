"""Partitions cover every item exactly once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.plan import ExecutionPlan, Partition, coverage_faults, partition_items, plan_partitions


@given(count=st.integers(0, 500), parts=st.integers(1, 600))
def test_partitions_are_even_and_complete(count, parts):
    """Sizes differ by at most one, none is empty, together they are the items."""
    partitions = partition_items(count, parts)
    assert len(partitions) == min(parts, count)
    assert coverage_faults(partitions, count) == []
    sizes = [len(one) for one in partitions]
    assert max(sizes, default=1) - min(sizes, default=1) <= 1
    assert len({one.partition_id for one in partitions}) == len(partitions)


def test_given_partitions_win_over_the_count_and_the_count_over_the_workers():
    """What the document says most exactly holds."""
    mine = (Partition("mine", 0, 9),)
    assert plan_partitions(ExecutionPlan(partitions=mine, partition_count=3), count=10, workers=4) == mine
    assert len(plan_partitions(ExecutionPlan(partition_count=3), count=10, workers=4)) == 3
    assert len(plan_partitions(ExecutionPlan(), count=10, workers=4)) == 4


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ([(0, 3), (5, 9)], "items 4 to 4 belong to no partition"),
        ([(0, 5), (5, 9)], "begins at 5, inside the one before it"),
        ([(0, 8)], "items 9 to 9 belong to no partition"),
        ([(0, 10)], "reach to item 10, but the last item is 9"),
        ([(1, 9)], "items 0 to 0 belong to no partition"),
        ([(0, 9), (9, 8)], "before it begins"),
    ],
)
def test_gaps_overlaps_and_overhang_are_said(bounds, words):
    """Each way of not covering the items once has its words."""
    partitions = [Partition(f"p{first}", first, last) for first, last in bounds]
    assert any(words in fault for fault in coverage_faults(partitions, 10))
