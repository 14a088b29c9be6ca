"""Figures: classes of durations, availability, and totals that go on from run to run."""

from everyitem.model.figures import LATENCY_BOUNDS, Availability, Figures, Timings, add_latencies


def classes(*durations_us):
    counts = [0] * (len(LATENCY_BOUNDS) + 1)
    add_latencies(counts, durations_us)
    return counts


def test_an_attempt_counts_in_the_first_class_it_fits_into():
    """Bounds are inclusive; what is longer than all of them has a class of its own."""
    assert classes(100) == [1, *[0] * len(LATENCY_BOUNDS)]
    assert classes(101)[1] == 1
    assert classes(300_000_001)[-1] == 1


def test_of_many_attempts_evenly_spread_ones_stand_for_the_rest_and_none_is_lost():
    """However many there are, their number comes out exactly."""
    for count in (31, 32, 33, 100, 1000, 4097):
        assert sum(classes(*[50] * count)) == count
    half = classes(*[50] * 500, *[2_000_000] * 500)
    assert abs(half[0] - 500) <= 32
    assert sum(half) == 1000


def test_availability_is_the_share_of_the_time_it_was_needed():
    """Nothing needed yet is no outage."""
    assert Availability().share == 1.0
    assert Availability(up=999.0, down=1.0).share == 0.999
    assert Availability(up=1.0).after(Availability(down=1.0)).share == 0.5


def test_timings_add_up_over_runs():
    """The longest is the longest of all runs, the latest that of the last."""
    before = Timings().and_one(3.0)
    both = Timings().and_one(1.0).after(before)
    assert both == Timings(count=2, total=4.0, longest=3.0, latest=1.0)
    assert Timings().after(before).latest == 3.0


def test_figures_of_an_older_version_are_read():
    """What a progress row does not say has its default."""
    import msgspec

    assert msgspec.json.decode(b'{"retries": 3}', type=Figures) == Figures(retries=3)
