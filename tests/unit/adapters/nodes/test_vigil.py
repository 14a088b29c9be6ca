"""When a worker process that gets nowhere is replaced."""

from everyitem.adapters.nodes.vigil import LOOK, STOPPED, Vigil


def looks(vigil: Vigil, count: int, *, is_starting: bool, is_stopped: bool) -> list[str]:
    """What is said in so many looks."""
    return [vigil.look(is_starting=is_starting, is_stopped=is_stopped) for _ in range(count)]


def test_a_process_that_is_stopped_is_not_waited_for():
    """Whatever it was at, and however long it may take to start."""
    for is_starting in (True, False):
        said = looks(Vigil(3600.0), STOPPED, is_starting=is_starting, is_stopped=True)
        assert said[:-1] == [""] * (STOPPED - 1)
        assert "stopped (SIGSTOP) for 10 s" in said[-1]


def test_a_process_that_goes_on_again_is_waited_for_anew():
    """A short stop is nobody's business."""
    vigil = Vigil(3600.0)
    for _ in range(3):
        assert not any(looks(vigil, STOPPED - 1, is_starting=False, is_stopped=True))
        assert not any(looks(vigil, 1, is_starting=False, is_stopped=False))


def test_a_start_may_take_as_long_as_the_operator_says():
    """Beyond that it counts as hanging, and the reason says what allows more."""
    said = looks(Vigil(30 * LOOK), 30, is_starting=True, is_stopped=False)
    assert said[:-1] == [""] * 29
    assert "longer than 30 s (workerStartSeconds)" in said[-1]


def test_who_is_ready_has_all_the_time_there_is():
    """How long an item may take is what itemTimeoutMs is for."""
    assert not any(looks(Vigil(5 * LOOK), 1000, is_starting=False, is_stopped=False))
