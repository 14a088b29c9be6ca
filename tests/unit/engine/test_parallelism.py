"""The rules of the controller: where it grows, where it gives way, and when it leaves things alone."""

from collections.abc import Callable

import pytest

from everyitem.engine.parallelism import Decision, Move, ParallelismController, Window
from everyitem.engine.tuning import SETTLING, SHORTEST, Tuning

#: What one call takes (seconds) and which part of the calls fails, with so many at the same time.
Curve = Callable[[int], tuple[float, float]]


def waiting(_slots: int) -> tuple[float, float]:
    """Calls that only wait take the same time however many there are."""
    return 0.1, 0.0


def on_two_cores(slots: int) -> tuple[float, float]:
    """Calls that compute share two cores."""
    return 0.01 * max(1.0, slots / 2), 0.0


def slower_beyond_20(slots: int) -> tuple[float, float]:
    """A dependency that gets worse the more it is asked beyond 20 calls at the same time."""
    return 0.05 * max(1.0, (slots / 20) ** 2), 0.0


def refusing_beyond_50_per_second(slots: int) -> tuple[float, float]:
    """A dependency that answers 50 calls of 100 ms a second and refuses the others."""
    asked = slots / 0.1
    return 0.1, max(0.0, 1 - 50 / asked)


def observed(slots: int, curve: Curve, seconds: float = 1.0) -> Window:
    """A window in which all slots are busy."""
    call, failing = curve(slots)
    attempts = slots * seconds / call
    failed = round(attempts * failing)
    return Window(
        slots=slots,
        seconds=seconds,
        succeeded=round(attempts) - failed,
        failed=failed,
        busy=slots * seconds,
    )


def follow(controller: ParallelismController, curve: Curve, windows: int = 30) -> list[Decision]:
    """The decisions over a number of windows."""
    return [controller.observe(float(number), observed(controller.slots, curve)) for number in range(windows)]


@pytest.mark.parametrize("start", [1, 5, 6, 7, 40])
@pytest.mark.parametrize(
    ("curve", "best"),
    [(waiting, 40), (on_two_cores, 2), (slower_beyond_20, 20), (refusing_beyond_50_per_second, 5)],
)
def test_it_finds_the_best_number_from_wherever_it_starts(curve: Curve, best: int, start: int) -> None:
    """Waiting work gets all there is, computing the cores, a suffering dependency what it bears."""
    controller = ParallelismController(slots=start, least=1, most=40)
    follow(controller, curve, 80)
    # whatever it is trying just now
    assert abs(controller.best - best) <= max(1, best // 16)


def test_it_stays_between_its_bounds() -> None:
    """Never below minParallelism, never above what is allocated."""
    for curve in (waiting, on_two_cores, slower_beyond_20, refusing_beyond_50_per_second):
        controller = ParallelismController(slots=5, least=4, most=12)
        assert all(4 <= decision.slots <= 12 for decision in follow(controller, curve, 100))


def test_it_grows_only_while_the_slots_are_used() -> None:
    """Where slots idle, more of them are of no use."""
    controller = ParallelismController(slots=5, least=1, most=40)
    idle = Window(slots=5, seconds=1.0, succeeded=100, failed=0, busy=1.0)
    for number in range(50):
        assert controller.observe(float(number), idle).move is Move.HOLD


def test_every_change_has_a_reason() -> None:
    """A person who reads the log can tell why."""
    decisions = follow(ParallelismController(slots=5, least=1, most=40), slower_beyond_20)
    assert all(decision.reason for decision in decisions)
    assert {decision.move for decision in decisions} == set(Move)


def test_items_that_fail_however_few_run_decide_nothing() -> None:
    """Bad items lower every number's score alike: waiting work still gets all there is."""
    controller = ParallelismController(slots=5, least=1, most=40)
    follow(controller, lambda _: (0.1, 0.4), 10)
    assert controller.best == 40


def test_it_gives_way_when_a_dependency_begins_to_suffer() -> None:
    """What was best once is left for what is best now, in both directions."""
    controller = ParallelismController(slots=5, least=1, most=40)
    follow(controller, waiting, 20)
    assert controller.best == 40
    follow(controller, refusing_beyond_50_per_second, 120)
    assert controller.best <= 8
    follow(controller, waiting, 200)
    assert controller.best >= 36


def test_a_probe_costs_little_once_the_level_is_found() -> None:
    """Holding is the rule: at most one window in seven is spent on another number."""
    controller = ParallelismController(slots=5, least=1, most=40)
    follow(controller, waiting, 20)
    elsewhere = sum(decision.slots != 40 for decision in follow(controller, waiting, 140))
    assert elsewhere <= 140 / 7


def test_less_capacity_is_less_at_once() -> None:
    """When nodes are lost or memory is short, the number falls without waiting for a window."""
    controller = ParallelismController(slots=5, least=3, most=40)
    follow(controller, waiting, 20)
    decision = controller.limit(2, 21.0, "a node was lost")
    assert (decision.move, decision.slots, controller.slots) == (Move.SHRINK, 2, 2)
    assert all(one.slots <= 2 for one in follow(controller, waiting, 50))
    controller.limit(40, 72.0, "it is back")
    follow(controller, waiting, 100)
    assert controller.best >= 36


def test_a_window_holds_nothing_from_before_a_change() -> None:
    """Calls that were running when the number changed say nothing about the new one."""
    tuning = Tuning(ParallelismController(slots=2, least=1, most=8), at=0.0)
    end = SETTLING + SHORTEST + 0.01
    tuning.note(SETTLING + 0.1, succeeded=100, failed=0, busy=0.5)
    decision = tuning.look(end)
    assert decision is not None and decision.slots == 4
    tuning.note(end + 0.01, succeeded=1000, failed=0, busy=1.0)
    assert tuning.look(end + 1.0) is None


def test_a_window_waits_for_slow_calls() -> None:
    """Nothing is decided before each slot has ended a few calls, however long they take."""
    tuning = Tuning(ParallelismController(slots=2, least=1, most=8), at=0.0)
    tuning.note(30.0, succeeded=3, failed=0, busy=60.0)
    assert tuning.look(30.0) is None
    tuning.note(40.0, succeeded=1, failed=0, busy=20.0)
    decision = tuning.look(40.0)
    assert decision is not None and decision.move is Move.GROW


def test_few_long_calls_are_counted_by_how_long_they_took() -> None:
    """Calls in step with each other: where the window is cut does not matter."""
    short = Window(slots=10, seconds=0.95, succeeded=90, failed=0, busy=9.0)
    long = Window(slots=10, seconds=1.05, succeeded=110, failed=0, busy=11.0)
    assert short.score == pytest.approx(long.score)


def test_what_memory_gives_back_is_used_at_once() -> None:
    """It was memory that kept the number down; after each step it is kept where it helps."""
    controller = ParallelismController(slots=5, least=1, most=8)
    follow(controller, waiting, 10)
    controller.limit(2, 10.0, "memory leaves 2 slots")
    for left in (3, 4, 5):
        decision = controller.limit(left, float(left), f"memory leaves {left} slots")
        assert (decision.move, controller.slots) == (Move.GROW, left)
        follow(controller, waiting, 2)
        assert controller.best == left


def test_what_is_given_back_and_does_not_help_is_left_alone() -> None:
    """More slots than there are cores are no use, whoever offers them."""
    controller = ParallelismController(slots=2, least=1, most=8)
    follow(controller, on_two_cores, 20)
    controller.limit(2, 20.0, "memory leaves 2 slots")
    follow(controller, on_two_cores, 3)
    controller.limit(3, 24.0, "memory leaves 3 slots")
    follow(controller, on_two_cores, 1)
    assert controller.slots == 2


def test_strides_that_reach_the_end_are_not_made_backwards() -> None:
    """Having grown by eight at last, it does not try eight fewer next."""
    controller = ParallelismController(slots=16, least=1, most=40)
    follow(controller, on_two_cores, 30)
    decisions = follow(controller, waiting, 60)
    grown = [decision.slots for decision in decisions].index(40)
    assert all(decision.slots >= 35 for decision in decisions[grown:])
