"""How long items take: sums and their inverse agree with counting one item after the other."""

from hypothesis import given
from hypothesis import strategies as st

from everyitem.testing.fleet.terrain import Terrain, terrain_with_block

STRETCHES = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.25, 1.0, 8.0])), min_size=1, max_size=5)


def items_of(stretches):
    return [seconds for count, seconds in stretches for _ in range(count)]


@given(STRETCHES, st.data())
def test_a_range_takes_the_sum_of_its_items(stretches, data):
    """Times of a range are those of its items."""
    items, terrain = items_of(stretches), Terrain(stretches)
    start = data.draw(st.integers(0, len(items)))
    stop = data.draw(st.integers(start, len(items)))
    assert terrain.seconds(start, stop) == sum(items[start:stop])
    assert terrain.total == sum(items)


@given(STRETCHES, st.data(), st.integers(0, 200))
def test_what_is_reached_is_what_has_begun(stretches, data, quarters):
    """A worker begins items until its time is over, and the first one in any case."""
    items, terrain = items_of(stretches), Terrain(stretches)
    if not items:
        return
    start = data.draw(st.integers(0, len(items) - 1))
    seconds, passed, reached = quarters / 4, 0.0, start
    while reached < len(items) and (passed < seconds or reached == start):
        passed += items[reached]
        reached += 1
    assert terrain.reach(start, seconds) == reached


def test_the_first_long_item_of_a_range_is_found():
    """It may be the first one of the range, one behind it, or none."""
    terrain = Terrain([(10, 0.001), (5, 0.5), (10, 0.001)])
    assert terrain.first_longer(0, 25, 0.02) == 10
    assert terrain.first_longer(12, 25, 0.02) == 12
    assert terrain.first_longer(15, 25, 0.02) is None
    assert terrain.first_longer(0, 10, 0.02) is None


def test_a_block_in_the_middle_is_slow():
    """One item in a hundred takes ten times as long, and they lie together."""
    terrain = terrain_with_block(1000, 0.001, slow=10, share=0.01)
    assert round(terrain.seconds(495, 505), 9) == 10 * 0.01
    assert round(terrain.total, 9) == 0.99 + 0.1
