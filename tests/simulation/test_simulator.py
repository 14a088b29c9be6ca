"""The real decisions under seeded days of crashes, lost messages, failing stores, rivals and wrong clocks."""

import pytest

from everyitem.testing.simulator import Simulation

SEEDS = 2_000
BLOCK = 200
LONG_SEEDS = 100_000
LONG_BLOCK = 5_000


def live_through(first: int, count: int) -> None:
    """Raise `SimulationFailed`, which names the seed, at the first bad day."""
    for seed in range(first, first + count):
        Simulation(seed).run()


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_whatever_happens_every_item_ends_with_exactly_one_outcome(first: int) -> None:
    """All invariants hold, and the batch completes (2,000 seeds)."""
    live_through(first, BLOCK)


@pytest.mark.long
@pytest.mark.parametrize("first", range(SEEDS, SEEDS + LONG_SEEDS, LONG_BLOCK))
def test_a_hundred_thousand_days_end_well(first: int) -> None:
    """The same for 100,000 seeds more."""
    live_through(first, LONG_BLOCK)


def test_a_day_that_once_went_wrong_ends_well() -> None:
    """11382: at-most-once, the last item went to a busy holder and back to the idle one's queue, for ever."""
    live_through(11382, 1)


@pytest.mark.parametrize("seed", [844, 1152, 2392])
def test_a_stopped_batch_keeps_what_is_deferred(seed: int) -> None:
    """FAIL_FAST: who ran out of time behind the deciding failure was called again under its number."""
    live_through(seed, 1)


def test_a_death_that_is_told_after_its_node_was_lost_is_nobodys() -> None:
    """6676: a node vanished in the moment in which a worker of it had died; the last words came too late."""
    live_through(6676, 1)


def test_an_attempt_that_is_excused_twice_is_recorded_twice() -> None:
    """15328: two outages one after the other, the second met by the probe of the first."""
    live_through(15328, 1)


def test_a_node_whose_only_worker_was_never_heard_of_gets_another() -> None:
    """29872: its word that it is there was lost. Without another worker the run stands still."""
    live_through(29872, 1)


def test_what_an_outage_excuses_before_it_is_written_is_no_retry() -> None:
    """46039: workers die alike; the outage is seen before the first deaths are in a segment."""
    live_through(46039, 1)


def test_one_seed_is_one_exact_replay() -> None:
    """A failing seed can be looked at again: the same story, line by line."""
    first, second = Simulation(17), Simulation(17)
    first.run()
    second.run()
    assert first.story == second.story


@pytest.mark.parametrize(
    "trouble",
    [
        "crashes",
        "is stopped",
        "is cut off",
        "dies of item",
        "vanishes",
        "wall clock is set",
        "out of reach",
        "notices an outage: ",
        " or RemoteDisconnected",
        "the disk is full",
        "a transaction fails",
        "nobody gets to know",
        "opens round 2",
        "opens round 3",
        "answers from the record",
        "has been replaced",
        "is granted 20 slots",
        "is allocated",
        "node spare uses",
        "CancelAsked",
        "StopAsked",
        "verdict: timed out",
        "verdict: failed fast",
        "verdict: tolerance exceeded",
        "verdict: out of resources",
        "verdict: store failed",
        "verdict: in doubt",
        "a person settles",
        "a person cannot",
        "comes in time",
        "comes before its deferral",
        "comes too late",
        "comes once more",
    ],
)
def test_the_days_are_bad_enough(trouble: str) -> None:
    """Every kind of trouble there can be comes up within some hundred seeds."""
    for seed in range(300):
        day = Simulation(seed)
        day.run()
        if any(trouble in line for line in day.story):
            return
    pytest.fail(f"no day among 300 says {trouble!r}")
