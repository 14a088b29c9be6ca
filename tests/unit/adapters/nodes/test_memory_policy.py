"""Measures about memory: in which order, and when they are taken back."""

import pytest

from everyitem.adapters.nodes.memory_policy import (
    GROW_AFTER,
    LATEST,
    SOONEST,
    Measure,
    MemoryPolicy,
    has_grown,
    look_again_in,
)

HOLD, PAUSE, SHRINK = Measure.HOLD, Measure.PAUSE, Measure.SHRINK
RECYCLE, RESUME, END = Measure.RECYCLE, Measure.RESUME, Measure.END


def measures(policy: MemoryPolicy, *seen: tuple[float, int, bool]) -> list[Measure]:
    """What is done about (pressure, items running, whether workers have grown), a tenth of a second apart."""
    return [
        policy.observe(step / 10, pressure, running=running, recyclable=recyclable)
        for step, (pressure, running, recyclable) in enumerate(seen)
    ]


def test_below_four_fifths_nothing_is_done():
    """Memory is there to be used."""
    policy = MemoryPolicy(4)
    assert measures(policy, (0.1, 4, True), (0.5, 4, True), (0.79, 4, True)) == [HOLD] * 3
    assert policy.intake == 4
    assert not policy.is_active


def test_large_items_shrink_the_parallelism():
    """Intake pauses; once the items have let go of their memory, half as many run."""
    policy = MemoryPolicy(4)
    assert measures(policy, (0.85, 4, False), (0.85, 2, False), (0.4, 1, False)) == [PAUSE, HOLD, SHRINK]
    assert policy.intake == 2


def test_grown_workers_are_recycled_once_nothing_runs_and_the_parallelism_stays():
    """It is not the items' size, so fewer at a time would not help."""
    policy = MemoryPolicy(4)
    seen = [(0.85, 4, True), (0.85, 1, True), (0.85, 0, True), (0.5, 4, False)]
    assert measures(policy, *seen) == [PAUSE, HOLD, RECYCLE, RESUME]
    assert policy.intake == 4


def test_where_nothing_helps_one_item_at_a_time_goes_on():
    """A pause that frees nothing must not become a standstill, nor be repeated for each item."""
    policy = MemoryPolicy(4)
    assert measures(policy, (0.85, 4, False), (0.85, 0, False)) == [PAUSE, SHRINK]
    assert policy.intake == 1
    assert measures(policy, *[(0.9, 1, False)] * 5) == [HOLD] * 5


@pytest.mark.parametrize("before", [[], [(0.85, 4, False)], [(0.85, 4, False), (0.85, 0, False)]])
def test_at_the_limit_an_item_is_ended_whatever_was_done_before(before):
    """A growth too quick for the milder measures does not wait for them; intake pauses with it."""
    policy = MemoryPolicy(4)
    measures(policy, *before)
    assert policy.observe(9.0, 0.95, running=1, recyclable=True) is END
    assert policy.intake == 0
    assert policy.observe(9.1, 0.3, running=0, recyclable=False) is SHRINK


def test_after_a_calm_the_parallelism_grows_back_step_by_step():
    """One slot more after each stretch of calm; unrest starts the stretch anew."""
    policy = MemoryPolicy(4)
    measures(policy, (0.85, 4, False), (0.3, 4, False))
    assert policy.intake == 2
    calm = [(at, policy.observe(at, 0.3, running=2, recyclable=False)) for at in (1.0, 1.0 + GROW_AFTER / 2)]
    assert [measure for _, measure in calm] == [HOLD, HOLD]
    assert policy.observe(1.1 + GROW_AFTER / 2, 0.7, running=2, recyclable=False) is HOLD
    begun = 10.0
    assert policy.observe(begun, 0.3, running=2, recyclable=False) is HOLD
    assert policy.observe(begun + GROW_AFTER, 0.3, running=2, recyclable=False) is RESUME
    assert policy.observe(begun + 2 * GROW_AFTER, 0.3, running=3, recyclable=False) is RESUME
    assert policy.intake == 4
    assert not policy.is_active


def test_who_uses_no_more_slots_than_are_left_hears_when_more_are():
    """The engine follows what memory leaves, and must not be left there for ever."""
    policy = MemoryPolicy(4)
    measures(policy, (0.85, 4, False), (0.3, 4, False))
    policy.resize(2)
    assert policy.left == 2
    assert [policy.observe(at, 0.3, running=2, recyclable=False) for at in (1.0, 1.0 + GROW_AFTER)] == [
        HOLD,
        RESUME,
    ]
    assert policy.left == 3
    # with two at work nobody knows yet what three would take
    assert policy.observe(2.0 + 2 * GROW_AFTER, 0.3, running=2, recyclable=False) is HOLD
    assert policy.observe(3.0 + 3 * GROW_AFTER, 0.3, running=2, recyclable=False) is HOLD
    policy.resize(3)
    assert [policy.observe(at, 0.3, running=3, recyclable=False) for at in (20.0, 20.0 + GROW_AFTER)] == [
        HOLD,
        RESUME,
    ]
    assert policy.left is None


def test_far_from_the_limit_nobody_looks_often():
    """The next look is due before memory could have grown to the limit, within bounds."""
    assert look_again_in(-1) == look_again_in(0) == SOONEST
    assert look_again_in(400_000_000) == pytest.approx(0.1)
    assert look_again_in(float("inf")) == LATEST


def test_a_little_more_than_fresh_is_not_grown():
    """Every worker takes somewhat more after its first items; replacing it would gain nothing."""
    assert not has_grown(25 << 20, fresh=20 << 20)
    assert has_grown(60 << 20, fresh=20 << 20)
