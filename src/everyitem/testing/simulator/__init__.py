"""A deterministic simulator: the real state machine on bad days.

One seed is one exact replay. A virtual clock drives virtual nodes and a virtual store through schedules
of crashes, doubled and lost messages, vanishing nodes, slow saves, pauses, stops and restarts of the
coordinator. The store checks, with every transaction, that no outcome is recorded twice; at the end every
item must have exactly one.
"""

from everyitem.testing.simulator.failed import SimulationFailed
from everyitem.testing.simulator.simulation import Simulation

__all__ = ["Simulation", "SimulationFailed"]
