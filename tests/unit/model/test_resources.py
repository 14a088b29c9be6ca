"""Slots and how a degree of parallelism spreads over nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.resources import AllocatedResources, NodeKind, NodeSpec, address_problem, spread


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


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:8786",
        "tcp://localhost:8786",
        "tcp://[::1]:1",
        "tls://far.example:8786",
        "tls://10.0.0.1:1",
    ],
)
def test_a_schedulers_address_is_encrypted_or_on_this_machine(address: str):
    """`tls://` goes anywhere, `tcp://` stays here."""
    assert address_problem(address) == ""


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "needs the scheduler's address"),
        ("tcp://10.0.0.1:8786", "unencrypted"),
        ("tcp://localhost.example:8786", "unencrypted"),
        ("tcp://0.0.0.0:8786", "unencrypted"),
        ("tcp://127.0.0.1.example:8786", "unencrypted"),
        ("tcp://127.0.0.1@far.example:8786", "no scheduler's address"),
        ("tcp://127.0.0.1", "no scheduler's address"),
        ("inproc://x/1/2:1", "no scheduler's address"),
        ("tls://a:1\n", "no scheduler's address"),
        ("", "no scheduler's address"),
    ],
)
def test_an_address_that_leaves_the_machine_in_the_clear_is_refused(address: str | None, said: str):
    """Whoever reads along, or talks to the scheduler, has the items, or the workers."""
    assert said in address_problem(address)
