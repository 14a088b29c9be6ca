"""The active time of a run, counted a second time: what the batch timeout must go by."""

from everyitem.engine.messages import Ending
from everyitem.ports.checkpoint import Counters
from everyitem.testing.simulator.failed import SimulationFailed

#: A timeout of so many seconds is so far off that only a run that stands still reaches it.
_FAR_OFF = 60.0


class ActiveTime:
    """Of one run, in monotonic seconds."""

    def __init__(self, counters: Counters, *, timeout: float, at: float | None = None) -> None:
        """`counters` are those the run goes on from, `at` is when it becomes active, if it does now."""
        self._timeout = timeout
        #: Active seconds of the present window in earlier runs.
        self._before = (counters.active_ms - counters.window_ms) / 1000
        self._active = 0.0
        self._since = at

    def note(self, at: float, *, active: bool) -> None:
        """From now on the run is active, or rests."""
        if self._since is not None:
            self._active += at - self._since
        self._since = at if active else None

    def _window(self, at: float) -> float:
        """Active seconds of the present window of the batch timeout."""
        running = at - self._since if self._since is not None else 0.0
        return self._before + self._active + running

    def check_dealing(self, at: float) -> None:
        """Items may be dealt only before the timeout."""
        if self._window(at) > self._timeout + 1e-6:
            raise SimulationFailed("F42: items are dealt after the batch timeout")

    def check_end(self, at: float, ending: Ending, *, counted_ms: int) -> None:
        """Timeouts come when they should, and only active time counts: `counted_ms` of this run."""
        if ending is Ending.TIMED_OUT and self._window(at) < self._timeout - 0.002:
            raise SimulationFailed(f"F21: a timeout after {self._window(at)} active seconds")
        if ending is Ending.TIMED_OUT and self._timeout > _FAR_OFF:
            raise SimulationFailed("I1: the run stands still until its timeout")
        self.note(at, active=True)
        if abs(counted_ms - self._active * 1000) > 1:
            raise SimulationFailed(f"{counted_ms} ms are counted as active, it was for {self._active} s")
