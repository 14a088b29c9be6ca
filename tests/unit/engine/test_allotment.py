"""The rules of spreading slots over nodes, and of who changes their number."""

import pytest

from everyitem.engine.allotment import Allotment
from everyitem.engine.parallelism import Move
from everyitem.engine.tuning import SETTLING, SHORTEST

#: Seconds after a change until a window is long enough.
WINDOW = SETTLING + 2 * SHORTEST


def allotment(*, adapts: bool = True, least: int = 1) -> Allotment:
    """Two nodes with two and six slots, of which three are in use at first."""
    return Allotment([("a", 2), ("b", 1)], [("a", 2), ("b", 6)], least=least, adapts=adapts, at=0.0)


def grow(slots: Allotment, at: float) -> dict[str, int]:
    """A window in which all slots in use were busy."""
    slots.note(at, succeeded=100, failed=0, busy=2.0 * slots.total * SHORTEST)
    return slots.look(at)


def test_a_fixed_number_is_kept() -> None:
    """Where `parallelismLevel` is given nothing is tried."""
    slots = allotment(adapts=False)
    assert grow(slots, 1.0) == {}
    assert (slots.total, slots.changes, slots.adapts) == (3, (), False)


def test_growing_fills_up_the_nodes_in_turn() -> None:
    """As at the start, never more than a node has."""
    slots = allotment()
    assert grow(slots, SETTLING + 2 * SHORTEST) == {"b": 4}
    assert (slots.of("a"), slots.of("b"), slots.total) == (2, 4, 6)
    assert [(change.move, change.slots) for change in slots.changes] == [(Move.GROW, 6)]
    assert slots.changes[0].reason


@pytest.mark.parametrize("adapts", [True, False])
def test_a_lost_node_is_made_up_for_by_the_others(adapts: bool) -> None:
    """As far as they have slots to spare: the number stays what it was, or what is left."""
    slots = allotment(adapts=adapts)
    assert slots.lose("a", 1.0) == {"b": 3}
    assert slots.lose("b", 2.0) == {}
    assert (slots.total, slots.most) == (0, 0)


def test_what_memory_takes_is_not_used_as_a_number_to_hold() -> None:
    """The controller is held to what memory leaves, and may grow again when it leaves more."""
    slots = allotment()
    slots.leave("b", 0, 1.0)
    assert (slots.most, slots.total) == (2, 2)
    assert "memory leaves 2 slots" in slots.changes[-1].reason
    slots.leave("b", None, 2.0)
    assert slots.most == 8


@pytest.mark.parametrize("adapts", [True, False])
def test_no_more_than_is_granted_is_used(adapts: bool) -> None:
    """A service shares the machine out: what is allocated is not what may be used at the moment."""
    slots = allotment(adapts=adapts)
    assert slots.grant(1, 1.0) == {"a": 1, "b": 0}
    assert (slots.total, slots.most) == (1, 1)
    assert grow(slots, 1.0 + WINDOW) == {}


def test_a_fixed_number_is_the_granted_one() -> None:
    """Who grants has asked how many were wanted; it is capped to what there is."""
    slots = allotment(adapts=False)
    assert slots.grant(20, 1.0) == {"b": 6}
    assert slots.total == 8


def test_the_search_goes_on_within_what_is_granted() -> None:
    """It begins anew when there is more than before."""
    slots = allotment()
    slots.grant(4, 1.0)
    assert grow(slots, 1.0 + WINDOW) == {"b": 2}
    slots.grant(8, 10.0)
    assert (slots.total, slots.most) == (4, 8)
    assert grow(slots, 10.0 + WINDOW) == {"b": 6}


def test_other_nodes_are_allocated() -> None:
    """What is gone uses nothing, what is new is filled up, what was left out may come back."""
    slots = allotment(adapts=False)
    assert slots.allocate({"b": 1, "c": 9}, least=1, reason="", at=1.0) == {"a": 0, "c": 2}
    assert slots.allocate({"a": 9}, least=1, reason="", at=2.0) == {"b": 0, "c": 0, "a": 3}
    assert (slots.total, slots.most) == (3, 9)


def test_a_fixed_number_that_was_capped_is_reached_once_there_are_slots() -> None:
    """The document may ask for more than is allocated at first."""
    slots = Allotment([("a", 2)], [("a", 2)], least=1, adapts=False, at=0.0, level=5)
    assert slots.allocate({"a": 9}, least=1, reason="", at=1.0) == {"a": 5}


def test_the_search_begins_anew_with_other_nodes() -> None:
    """From the number it has, between the new bounds."""
    slots = allotment()
    assert slots.allocate({"b": 20}, least=4, reason="20 slots", at=1.0) == {"a": 0, "b": 4}
    assert [(change.move, change.reason) for change in slots.changes] == [(Move.GROW, "20 slots")]
    assert grow(slots, 1.0 + WINDOW) == {"b": 8}
    assert slots.allocate({"b": 2}, least=4, reason="2 slots", at=10.0) == {"b": 2}
