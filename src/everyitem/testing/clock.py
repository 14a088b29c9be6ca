"""Time that passes only when told to."""


class FakeClock:
    """A monotonic clock in seconds; call it like `time.monotonic`.

    Example:
        clock = FakeClock()
        clock.advance(30)
        assert clock() == 30
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = float(start)

    def __call__(self) -> float:
        """The seconds that have passed."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass.

        Raises:
            ValueError: for negative seconds; a monotonic clock never goes back.
        """
        if not seconds >= 0:
            raise ValueError(f"a clock cannot advance by {seconds!r} seconds; give 0 or more")
        self._now += seconds
