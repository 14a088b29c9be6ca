"""The curve of throughput over parallelism goes through what was measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.engine.scalability import Scalability


def test_what_scales_without_loss_is_a_straight_line() -> None:
    """Twice the workers, twice the items."""
    curve = Scalability.fit([(1, 10.0), (5, 50.0), (10, 100.0)])
    assert curve.throughput(20) == pytest.approx(200.0)


def test_amdahls_law_follows_from_two_points() -> None:
    """A tenth that only one can do at a time bounds the gain to ten."""
    curve = Scalability.fit([(1, 10.0), (10, 10.0 * 10 / 1.9)])
    assert curve.contention == pytest.approx(0.1)
    assert curve.throughput(1_000_000) == pytest.approx(100.0, rel=1e-3)


def test_workers_that_hinder_one_another_have_a_best_number() -> None:
    """Three points tell that more than that many are worse."""
    true = Scalability(single=10.0, contention=0.02, coherence=0.005)
    curve = Scalability.fit([(p, true.throughput(p)) for p in (1, 8, 40)])
    best = max(range(1, 100), key=curve.throughput)
    assert best == max(range(1, 100), key=true.throughput)
    assert 1 < best < 40


def test_one_point_is_taken_to_scale() -> None:
    """History knows one parallelism only."""
    assert Scalability.fit([(4, 40.0)]).throughput(8) == pytest.approx(80.0)


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.floats(1e-3, 1e6)),
        min_size=1,
        max_size=5,
        unique_by=lambda one: one[0],
    )
)
def test_any_points_give_a_curve_that_makes_sense(points: list[tuple[int, float]]) -> None:
    """However noisy: throughput is positive, and never more than so many times one worker's."""
    curve = Scalability.fit(points)
    assert 0.0 <= curve.contention <= 1.0
    assert curve.coherence >= 0.0
    for parallelism in (1, 2, 17, 1000):
        assert 0.0 < curve.throughput(parallelism) <= curve.single * parallelism * (1 + 1e-9)
