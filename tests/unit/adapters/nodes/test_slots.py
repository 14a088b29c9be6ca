"""The slots of a process node: the names of who sits there, and patience with starts that fail."""

from everyitem.adapters.nodes.slots import STARTS, Slot


def test_who_comes_after_another_is_numbered() -> None:
    """So that logs and `explain` tell a worker from the one it replaces."""
    slot = Slot(0)
    assert [slot.next_holder("local") for _ in range(3)] == ["local/1", "local/1.2", "local/1.3"]


def test_each_failed_start_is_waited_for_longer_up_to_a_limit() -> None:
    """What fails at once must not spin, and what passes must not be waited for all day."""
    slot = Slot(0)
    assert [slot.start_failed() for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_slot_is_down_after_failed_starts_in_a_row() -> None:
    """Work in between says that the machine can start workers."""
    slot = Slot(0)
    for _ in range(STARTS - 1):
        slot.start_failed()
    slot.note_work()
    for _ in range(STARTS - 1):
        slot.start_failed()
    assert not slot.is_down
    slot.start_failed()
    assert slot.is_down
