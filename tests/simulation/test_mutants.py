"""A simulator that cannot fail proves nothing: it finds every deliberate bug within a few hundred seeds."""

import pytest

from everyitem.testing.simulator import Simulation, SimulationFailed
from tests.simulation.mutants import MUTANTS

SEEDS = 500


@pytest.mark.parametrize("name", MUTANTS)
def test_the_simulator_finds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each deliberate bug breaks a day within 500 seeds."""
    MUTANTS[name](monkeypatch)
    for seed in range(SEEDS):
        try:
            Simulation(seed).run()
        except (SimulationFailed, AssertionError):
            return
    pytest.fail(f"{SEEDS} seeds did not notice: {MUTANTS[name].__doc__}")
