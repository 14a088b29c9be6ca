"""Who makes whole workers disappear, found by halving."""

import pytest

from everyitem.adapters.nodes.dask.bisection import FORGIVEN, Bisection


def test_what_was_never_lost_runs_as_it_was_leased():
    """Without a loss nothing is cut."""
    assert Bisection().length(range(1000)) == 1000


def test_what_was_lost_together_runs_in_halves():
    """Each loss halves what runs together, down to one; nobody is charged for company."""
    bisection = Bisection()
    sizes = []
    indices = range(8)
    while len(indices) > 1:
        assert bisection.lost(indices, 1) == []
        size = bisection.length(range(8))
        sizes.append(size)
        indices = indices[:size]
    assert sizes == [4, 2, 1]


def test_those_in_front_of_a_suspect_run_without_it():
    """A suspect begins a slice of its own, so that who is before it has nothing to do with its end."""
    bisection = Bisection()
    bisection.lost((10, 11), 1)
    assert bisection.length(range(8, 20)) == 2
    assert bisection.length(range(10, 20)) == 1


@pytest.mark.parametrize("attempt", [1, 3])
def test_who_is_lost_alone_too_often_is_charged(attempt: int):
    """Machines disappear by themselves: only from the third loss alone on does it cost an attempt."""
    bisection = Bisection()
    for _ in range(FORGIVEN):
        assert bisection.lost((7,), attempt) == []
    [failure] = bisection.lost((7,), attempt)
    assert (failure.index, failure.attempt, failure.type, failure.alone) == (7, attempt, "WorkerDied", True)


def test_who_comes_to_its_end_is_no_suspect_any_more():
    """An outcome clears the name."""
    bisection = Bisection()
    bisection.lost(range(4), 1)
    bisection.done(range(4))
    assert bisection.length(range(4)) == 4


@pytest.mark.parametrize("killer", [0, 5, 99])
def test_a_killer_among_many_is_found_and_nobody_else_is_charged(killer: int):
    """However often whole slices are lost, only the killer pays, and everybody else gets an outcome."""
    bisection = Bisection()
    open_, charged, losses = list(range(100)), [], 0
    while open_ and losses < 50:
        slice_ = open_[: bisection.length(open_)]
        if killer in slice_ and killer not in charged:
            losses += 1
            charged += [failure.index for failure in bisection.lost(slice_, 1)]
        else:
            bisection.done(slice_)
            open_ = open_[len(slice_) :]
    assert charged == [killer]
    assert open_ == []
    assert losses < 12
