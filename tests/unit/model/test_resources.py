"""Slots and how a degree of parallelism spreads over nodes."""

from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec, spread


def nodes(slots):
    """Thread nodes with these slots."""
    return tuple(
        NodeSpec(node_id=f"n{k}", kind=NodeKind.THREAD, slots=count) for k, count in enumerate(slots)
    )


@given(slots=st.lists(st.integers(1, 20), min_size=1, max_size=6), parallelism=st.integers(0, 100))
def test_parallelism_spreads_evenly_within_the_slots(slots, parallelism):
    """All of it is placed if it fits; no node is fuller than its slots or unfairly fuller than another."""
    used = list(spread(parallelism, nodes(slots)).values())
    assert sum(used) == min(parallelism, sum(slots))
    assert all(mine <= most for mine, most in zip(used, slots, strict=True))
    # a node below its slots is at most one behind any other
    assert all(max(used) - mine <= 1 for mine, most in zip(used, slots, strict=True) if mine < most)


def test_slots_are_those_of_all_nodes():
    """The most items at once is the sum."""
    assert AllocatedResources(nodes=nodes([2, 3])).slots == 5
