"""Finding the parallelism: what holds for every curve of throughput with one top, wherever it begins."""

from hypothesis import given
from hypothesis import strategies as st

from everyitem.engine.parallelism import Decision, ParallelismController, Window
from everyitem.engine.scalability import Scalability

curves = st.builds(
    Scalability,
    single=st.floats(20.0, 2000.0),
    contention=st.floats(0.0, 0.5),
    coherence=st.floats(0.0, 0.01),
)


def follow(controller: ParallelismController, curve: Scalability, windows: int) -> list[Decision]:
    """The decisions over a number of windows in which all slots are busy."""
    decisions = []
    for number in range(windows):
        slots = controller.slots
        rate = curve.throughput(slots)
        # long enough for counts to be exact
        window = Window(slots=slots, seconds=100.0, succeeded=round(100 * rate), failed=0, busy=100.0 * slots)
        decisions.append(controller.observe(float(number), window))
    return decisions


@given(curve=curves, start=st.integers(1, 64), most=st.integers(1, 64))
def test_nearly_the_top_of_any_curve_is_found(curve: Scalability, start: int, most: int) -> None:
    """At least 95 % of the best there is, for work of which ever less can be done at the same time."""
    controller = ParallelismController(slots=min(start, most), least=1, most=most)
    follow(controller, curve, 60)
    best = max(curve.throughput(slots) for slots in range(1, most + 1))
    assert curve.throughput(controller.best) >= 0.95 * best


@given(curve=curves, least=st.integers(1, 10), more=st.integers(0, 50), start=st.integers(1, 64))
def test_its_bounds_are_kept_at_every_step(curve: Scalability, least: int, more: int, start: int) -> None:
    """Never below minParallelism, never above what is allocated."""
    most = least + more
    controller = ParallelismController(slots=min(max(start, least), most), least=least, most=most)
    assert all(least <= decision.slots <= most for decision in follow(controller, curve, 80))


@given(curve=curves, most=st.integers(2, 64))
def test_probes_cost_little(curve: Scalability, most: int) -> None:
    """Once the level is found, all probes together take no more than a twentieth of the throughput."""
    controller = ParallelismController(slots=min(5, most), least=1, most=most)
    follow(controller, curve, 40)
    used = [controller.slots, *(decision.slots for decision in follow(controller, curve, 200))][:-1]
    best = max(curve.throughput(slots) for slots in range(1, most + 1))
    assert sum(curve.throughput(slots) for slots in used) >= 0.95 * 0.95 * best * len(used)
