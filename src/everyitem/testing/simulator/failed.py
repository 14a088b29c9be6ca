"""What the simulator raises."""


class SimulationFailed(AssertionError):
    """An invariant broke; the message carries the seed and the last events of the story."""

    def __init__(self, fault: str, *, story: str = "") -> None:
        """`fault` says which invariant and how, `story` what led to it."""
        self.fault = fault
        super().__init__(f"{fault}\n{story}" if story else fault)
