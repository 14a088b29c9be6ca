"""Who publishes: one relay of a store at a time, for as long as it is at it.

Between two steps a relay says for itself that it is still there. A step it is in the middle of (events that a
receiver takes its time for) may last longer than a lease: meanwhile a thread beside it says so, on a
connection of its own.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from everyitem.model.errors import StoreError, UsageError
from everyitem.ports.relay import Outlet

_log = logging.getLogger("everyitem.events")

#: Seconds a relay is the only one, and after how many of them it says so again.
LEASE: Final = 8.0
RENEW: Final = 2.0
#: Seconds between two looks at a step that is under way.
LOOK: Final = 1.0
#: Seconds after which a step counts as hung: whoever else there is may publish then.
HUNG: Final = 600.0


class Tenure:
    """One relay's claim to be the one. Used from the relay's thread, except `look` and `keep`."""

    def __init__(
        self, open_outlet: Callable[[], Outlet], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`open_outlet` may block and raise; it is called when a step takes long for the first time."""
        self._open, self._clock = open_outlet, clock
        self._me = secrets.token_hex(8)
        #: For the moment of the last claim, and for claiming.
        self._claiming = threading.Lock()
        self._claimed = float("-inf")
        #: Changes whenever somebody else may have published since: what was read before is read again.
        self.reign = 0
        #: When the step that is under way began.
        self._busy_since: float | None = None
        #: The connection of the thread beside the relay.
        self._outlet: Outlet | None = None
        self._over = threading.Event()

    @property
    def is_fresh(self) -> bool:
        """Whether the last claim was made so lately that it holds without being renewed."""
        return self._clock() < self._claimed + RENEW

    def holds(self, outlet: Outlet) -> bool:
        """Whether this relay is the one that publishes; says so again where that was long ago."""
        with self._claiming:
            if self.is_fresh:
                return True
            now = self._clock()
            if now >= self._claimed + LEASE:
                self.reign += 1
            is_mine = outlet.claim(self._me, LEASE)
            self._claimed = now if is_mine else float("-inf")
            return is_mine

    @contextmanager
    def step(self) -> Iterator[None]:
        """What is done in here may take longer than the lease, while somebody looks."""
        self._busy_since = self._clock()
        try:
            yield
        finally:
            self._busy_since = None

    def look(self) -> None:
        """Renew the claim where a step under way has lasted so long that it is due. Raises `StoreError`."""
        since = self._busy_since
        if since is None or self._clock() >= since + HUNG or self.is_fresh:
            return
        if self._outlet is None:
            self._outlet = self._open()
        self.holds(self._outlet)

    def keep(self) -> None:
        """Look again and again, on a thread beside the relay's, until `stop`."""
        while not self._over.wait(LOOK):
            try:
                self.look()
            except (StoreError, UsageError):
                pass  # the store is away: the relay tells of it, and the next look asks again
            except Exception:
                _log.exception("renewing the claim to publish failed, and is tried again")
        if self._outlet is not None:
            with suppress(StoreError):
                self._outlet.close()

    def stop(self) -> None:
        """No more looks; to be waited for before the claim is given back."""
        self._over.set()

    def give_back(self, outlet: Outlet) -> None:
        """Let another one publish. Raises `StoreError`."""
        outlet.give_back(self._me)
