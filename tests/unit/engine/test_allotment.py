"""The rules of spreading slots over nodes, and of who changes their number."""

import pytest

from everyitem.engine.allotment import Allotment
from everyitem.engine.parallelism import Move
from everyitem.engine.tuning import SETTLING, SHORTEST


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


def test_somebody_who_fixes_the_number_ends_the_search() -> None:
    """It is capped to what there is."""
    slots = allotment()
    assert slots.ask(20) == {"b": 6}
    assert slots.total == 8
    assert grow(slots, 2.0) == {}
    assert slots.adapts is False
