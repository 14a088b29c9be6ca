"""What the simulator raises."""


class SimulationFailed(AssertionError):
    """An invariant broke; the message carries the seed and the last events of the story."""
