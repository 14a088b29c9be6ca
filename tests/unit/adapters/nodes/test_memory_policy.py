"""Measures about memory: in which order, when they are taken back, and for how many there is room."""

import pytest

from everyitem.adapters.nodes.memory_policy import (
    CALM_AT,
    FULL_AT,
    GROW_AFTER,
    LATEST,
    REMEMBERED,
    SOONEST,
    Measure,
    MemoryPolicy,
    Sight,
    has_grown,
    look_again_in,
)

HOLD, PAUSE, SHRINK = Measure.HOLD, Measure.PAUSE, Measure.SHRINK
RECYCLE, RESUME, END = Measure.RECYCLE, Measure.RESUME, Measure.END


def measures(policy: MemoryPolicy, *seen: tuple[float, int, bool]) -> list[Measure]:
    """What is done about (pressure, items running, whether workers have grown), a tenth of a second apart.

    A fifth of the memory is taken without any item.
    """
    return [
        policy.observe(
            step / 10,
            Sight(pressure=pressure, running=running, busy=running, recyclable=recyclable, base=0.2),
        )
        for step, (pressure, running, recyclable) in enumerate(seen)
    ]


def calm(policy: MemoryPolicy, since: float, pressure: float, busy: int) -> list[Measure]:
    """What is done at the beginning of a stretch of calm and at its end."""
    sight = Sight(pressure=pressure, running=busy, busy=busy, base=0.2)
    return [policy.observe(at, sight) for at in (since, since + GROW_AFTER)]


def test_below_four_fifths_nothing_is_done():
    """Memory is there to be used."""
    policy = MemoryPolicy(4)
    assert measures(policy, (0.1, 4, True), (0.5, 4, True), (0.79, 4, True)) == [HOLD] * 3
    assert policy.intake == 4
    assert not policy.is_active


def test_of_large_items_as_many_run_as_there_is_room_for():
    """Intake pauses; once items have let go of their memory, it is known what each of them took."""
    policy = MemoryPolicy(8)
    # 0.11 each beside the 0.2 without: five are 0.75, six would be 0.86
    assert measures(policy, (0.5, 8, False), (0.86, 6, False), (0.64, 4, False)) == [HOLD, PAUSE, SHRINK]
    assert policy.intake == 5
    assert measures(policy, *[(0.75, 5, False)] * 5) == [HOLD] * 5


def test_where_nobody_knows_what_an_item_takes_half_as_many_run():
    """Memory that was there without any item has gone, and says nothing about items."""
    policy = MemoryPolicy(4)
    nothing_by_items = [
        Sight(pressure=0.85, running=4, busy=4, base=0.85),
        Sight(pressure=0.4, running=4, busy=4, base=0.4),
    ]
    assert [policy.observe(0.0, sight) for sight in nothing_by_items] == [PAUSE, SHRINK]
    assert policy.intake == 2


def test_at_least_one_item_runs():
    """One that is too large for the node is ended there, not kept waiting for ever."""
    policy = MemoryPolicy(4)
    assert measures(policy, (0.9, 1, False), (0.2, 0, False)) == [PAUSE, SHRINK]
    assert policy.intake == 1


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
    assert measures(policy, (0.95, 1, True)) == [END]
    assert policy.intake == 0
    assert measures(policy, (0.3, 0, False)) == [SHRINK]


def test_where_an_item_was_ended_half_as_many_run_at_most():
    """Nobody knows how large it would have become, nor its neighbours."""
    policy = MemoryPolicy(8)
    assert measures(policy, (0.96, 8, False), (0.5, 3, False)) == [END, SHRINK]
    assert policy.intake == 4


def test_after_a_calm_the_parallelism_grows_back_step_by_step():
    """One slot more after each stretch of calm; unrest starts the stretch anew."""
    policy = MemoryPolicy(4)
    measures(policy, (0.96, 4, False), (0.3, 4, False))
    assert policy.intake == 2
    later = 3 * REMEMBERED
    # items that are smaller now: 0.1 each
    assert calm(policy, later, 0.4, 2) == [HOLD, RESUME]
    assert policy.observe(later + 1.5 * GROW_AFTER, Sight(pressure=0.71, running=3, busy=3, base=0.2)) is HOLD
    assert policy.intake == 3
    assert calm(policy, later + 3 * REMEMBERED, 0.4, 3) == [HOLD, RESUME]
    assert policy.intake == 4
    assert not policy.is_active


def test_nothing_is_given_back_that_there_is_no_room_for():
    """Three fifths in use are no calm where one more item would take a fourth of all memory."""
    policy = MemoryPolicy(3)
    assert measures(policy, (0.95, 3, False), (0.3, 0, False)) == [END, SHRINK]
    assert policy.intake == 1
    assert calm(policy, 1.0, CALM_AT - 0.01, 1) == [HOLD, HOLD]


def test_who_uses_no_more_slots_than_are_left_hears_when_more_are():
    """The engine follows what memory leaves, and must not be left there for ever."""
    policy = MemoryPolicy(4)
    measures(policy, (0.96, 4, False), (0.3, 4, False))
    policy.resize(2)
    assert policy.left == 2
    later = 3 * REMEMBERED
    assert calm(policy, later, 0.3, 2) == [HOLD, RESUME]
    assert policy.left == 3
    # with two at work nobody knows yet what three would take
    assert calm(policy, later + 2 * GROW_AFTER, 0.3, 2) == [HOLD, HOLD]
    policy.resize(3)
    assert calm(policy, later + 20.0, 0.3, 3) == [HOLD, RESUME]
    assert policy.left is None


def test_no_more_slots_are_tried_than_there_is_room_for():
    """What four items take at a time says that eight are too many: some would have to be ended."""
    policy = MemoryPolicy(4)
    measures(policy, (0.56, 4, False))
    assert policy.resize(8)
    assert policy.left == 6
    assert not policy.resize(6)
    assert policy.intake == 6


def test_workers_that_are_still_to_be_started_take_room_too():
    """Each takes something before its first item."""
    policy = MemoryPolicy(4)
    policy.observe(0.0, Sight(pressure=0.6, running=4, busy=4, base=0.2, workers=4, worker=0.05))
    assert policy.resize(8)
    assert policy.left == 5


def test_slots_a_calm_has_given_back_are_not_taken_away_when_they_are_used():
    """Else it would go to and fro: items seldom take their most at the same time."""
    policy = MemoryPolicy(4)
    measures(policy, (0.56, 4, False))
    policy.resize(8)
    policy.resize(6)
    assert calm(policy, 1.0, FULL_AT - 0.1, 6) == [HOLD, RESUME]
    assert policy.left == 7
    assert not policy.resize(7)
    assert policy.left == 7


def test_what_items_took_is_forgotten():
    """A batch does not suffer to its end from a few large items at its beginning."""
    policy = MemoryPolicy(4)
    measures(policy, (0.7, 1, False), (0.3, 4, False))
    later = Sight(pressure=0.3, running=4, busy=4, base=0.2)
    for step in range(3):
        policy.observe(REMEMBERED * (1 + step), later)
    assert not policy.resize(8)
    assert policy.intake == 8


def test_far_from_the_limit_nobody_looks_often():
    """The next look is due before memory could have grown to the limit, within bounds."""
    assert look_again_in(-1) == look_again_in(0) == SOONEST
    assert look_again_in(400_000_000) == pytest.approx(0.1)
    assert look_again_in(float("inf")) == LATEST


def test_a_little_more_than_fresh_is_not_grown():
    """Every worker takes somewhat more after its first items; replacing it would gain nothing."""
    assert not has_grown(25 << 20, fresh=20 << 20)
    assert has_grown(60 << 20, fresh=20 << 20)
