"""The state machine under seeded days of crashes, lost and doubled messages and vanishing nodes."""

import pytest

from everyitem.testing.simulator import Simulation, SimulationFailed

SEEDS = 500


@pytest.mark.parametrize("block", range(10))
def test_no_item_is_lost_none_recorded_twice_and_it_always_ends(block: int) -> None:
    """Whatever happens, every item ends with exactly one recorded outcome (500 seeds)."""
    for seed in range(block * SEEDS // 10, (block + 1) * SEEDS // 10):
        Simulation(seed).run()


@pytest.mark.parametrize("block", range(4))
def test_at_most_once_calls_no_attempt_twice(block: int) -> None:
    """No attempt is called twice or before its intent is on disk; no item is lost (200 seeds)."""
    for seed in range(block * 50, (block + 1) * 50):
        Simulation(seed, at_most_once=True).run()


def test_the_simulator_notices_a_second_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a doubt about what a lost worker had begun, its items run again: that is found."""
    from everyitem.engine.state import ExecutionState

    monkeypatch.setattr(ExecutionState, "_doubt_lease", lambda *_: None)
    with pytest.raises(SimulationFailed, match="a second time"):
        _run_all(at_most_once=True)


def test_one_seed_is_one_exact_replay() -> None:
    """A failing seed can be looked at again: the same story, line by line."""
    first, second = Simulation(17), Simulation(17)
    first.run()
    second.run()
    assert first.story == second.story


def test_the_simulator_notices_a_second_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulator that cannot fail proves nothing: without the recorded-once guard it finds a double."""
    from everyitem.engine.holders import HeldLease
    from everyitem.engine.ledger import Ledger, Mark
    from everyitem.engine.state import ExecutionState

    def believe(self: Ledger, ranges: list[tuple[int, int]]) -> bool:
        for first, count in ranges:
            self._marks[first : first + count] = bytes((Mark.SUCCEEDED,)) * count
            self.succeeded += count
        return True

    monkeypatch.setattr(ExecutionState, "_awaits", lambda self, held, index: True)
    monkeypatch.setattr(HeldLease, "expects", lambda self, run: True)
    monkeypatch.setattr(Ledger, "succeed", believe)
    monkeypatch.setattr(Ledger, "_expect", lambda self, mark, start, stop: None)
    with pytest.raises(SimulationFailed, match=r"second outcome|differ"):
        _run_all()


def _run_all(*, at_most_once: bool = False) -> None:
    for seed in range(SEEDS):
        Simulation(seed, at_most_once=at_most_once).run()
