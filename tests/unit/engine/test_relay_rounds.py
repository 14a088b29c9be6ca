"""Which events go together, which wait, and which are given up."""

from everyitem.engine.relay.rounds import Rounds
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.relay import Outgoing


def outgoing(position: int, execution: int = 1) -> Outgoing:
    event = OutboxEvent(f"e{position}", "T", "s", 0.0, b"{}", position)
    return Outgoing(execution, f"b{execution}", event)


def rounds(tries: int = 3) -> Rounds:
    return Rounds(tries=tries, draw=lambda: 1.0)


def positions(groups: object) -> list[list[int]]:
    return [[one.event.position for one in group] for group in groups]  # type: ignore[attr-defined]


def test_events_go_in_their_order_and_as_many_at_a_time_as_may() -> None:
    """Whichever execution they are of."""
    events = [outgoing(position, position % 2) for position in range(5)]
    assert positions(rounds().groups(events, 2)) == [[0, 1], [2, 3], [4]]


def test_what_was_refused_goes_by_itself() -> None:
    """It must not take others along."""
    state = rounds()
    assert not state.refused(outgoing(1, 7), 0.0)
    events = [outgoing(1, 7), outgoing(2), outgoing(3), outgoing(4, 7)]
    assert positions(state.groups(events, 10)) == [[1], [2, 3], [4]]


def test_an_execution_rests_after_a_refusal_longer_each_time() -> None:
    """Those behind the refused event wait with it; the others do not."""
    state = rounds()
    state.refused(outgoing(1, 7), 10.0)
    assert state.resting(10.9) == [7]
    assert state.resting(11.0) == []
    state.refused(outgoing(1, 7), 11.0)
    assert state.resting(12.9) == [7]


def test_an_event_that_is_refused_often_is_given_up_and_the_next_begins_anew() -> None:
    """Refusals are counted by event."""
    state = rounds(tries=2)
    assert not state.refused(outgoing(1), 0.0)
    assert state.refused(outgoing(1), 5.0)
    assert state.resting(5.0) == []
    assert not state.refused(outgoing(2), 6.0)


def test_what_is_taken_is_forgotten() -> None:
    """A later event of the execution is no second offender."""
    state = rounds(tries=2)
    state.refused(outgoing(1), 0.0)
    state.taken([outgoing(1)])
    assert not state.refused(outgoing(2), 0.0)


def test_all_wait_while_nobody_is_there_and_nothing_is_given_up() -> None:
    """For ever, with waits that grow up to a few seconds, and as long as the other side asks for."""
    state = rounds(tries=2)
    waits = [state.away(100.0, None) for _ in range(50)]
    assert waits[:3] == [0.2, 0.4, 0.8]
    assert max(waits) == waits[-1] == 5.0
    assert state.away(100.0, 30.0) == 30.0
    assert state.not_before == 130.0
    state.taken([outgoing(1)])
    assert state.not_before == 0.0


def test_after_a_group_of_which_a_part_has_arrived_each_goes_by_itself() -> None:
    """Else those that do would arrive again with each try, for as long as one of them does not."""
    state = rounds()
    events = [outgoing(position) for position in range(1, 8)]
    first, *_ = state.groups(events, 3)
    state.away(0.0, None)
    assert positions(state.groups(events, 3)) == [[1, 2, 3], [4, 5, 6], [7]]
    state.away(0.0, None, partly=first)
    assert positions(state.groups(events, 3)) == [[1], [2], [3], [4, 5, 6], [7]]
    state.taken([events[0]])
    assert positions(state.groups(events[1:], 3)) == [[2], [3], [4, 5, 6], [7]]
