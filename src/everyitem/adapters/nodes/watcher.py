"""The watcher: looks at running items every few milliseconds, so that nothing waits behind a slow one."""

import threading
import time
from collections.abc import Callable

from everyitem.adapters.nodes.claims import Claim
from everyitem.adapters.nodes.shared_queue import SharedQueue

#: Seconds between two looks while there is work; without work it sleeps until woken.
TICK = 0.01
#: Nanoseconds after which an item counts as slow: what its slot claimed behind it goes to others.
SLOW = 20_000_000


class Watcher:
    """Watches the claims of one shared queue from the node's own thread."""

    def __init__(
        self,
        queue: SharedQueue,
        *,
        item_timeout: float | None,
        on_timeout: Callable[[Claim, tuple[int, int]], None],
        on_look: Callable[[], None],
    ) -> None:
        """`on_timeout(claim, signs_of_life)` is called for items out of time, `on_look` after every look."""
        self._queue = queue
        self._timeout = None if item_timeout is None else int(item_timeout * 1e9)
        self._on_timeout, self._on_look = on_timeout, on_look
        self._woken = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        """There is something to watch."""
        self._woken.set()

    def stop(self) -> None:
        """Let `watch` return."""
        self._stopped.set()
        self._woken.set()

    def watch(self) -> None:
        """Watch until stopped."""
        while not self._stopped.is_set():
            self._woken.wait()
            self._woken.clear()
            # cleared before looking: a lease added after the look wakes it again
            while self._queue.is_busy and not self._stopped.wait(TICK):
                self.look()

    def look(self) -> None:
        """One look: give up items that are out of time, share what waits behind slow ones, flush."""
        now = time.monotonic_ns()
        for claim in self._queue.running():
            seen = since, heartbeat = claim.signs_of_life
            begun = since or claim.begun
            if self._timeout is not None and now - max(begun, heartbeat) > self._timeout:
                self._on_timeout(claim, seen)
            elif now - begun > SLOW:
                self._queue.trim(claim)
        self._queue.flush_if_due()
        self._on_look()
