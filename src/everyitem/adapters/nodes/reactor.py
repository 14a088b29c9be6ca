"""The thread of a process node: one loop over sockets, pipes, deaths, timers and calls from other threads."""

import heapq
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from itertools import count

Call = Callable[[], None]


class Reactor:
    """Runs callbacks one after the other in the thread that calls `run`, so that they need no locks."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        # sockets, not a pipe: writing to a closed socket object fails instead of hitting a reused number
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._take_calls)
        self._calls: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._ties = count()
        self._stopped = False

    def call(self, call: Call) -> None:
        """Run a callback soon. The only method other threads may use."""
        self._calls.append(call)
        try:
            self._waker.send(b"!")
        except OSError:
            return  # full: the loop will wake anyway; closed: it has ended

    def call_after(self, delay: float, call: Call) -> None:
        """Run a callback `delay` seconds from now."""
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._ties), call))

    def watch(self, fd: int, on_ready: Call, *, writing: bool = False) -> None:
        """Run a callback whenever `fd` is ready to be read (or to be written to as well)."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, on_ready)
        else:
            self._selector.register(fd, events, on_ready)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no longer."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped = True

    def run(self) -> None:
        """Run callbacks until `stop`."""
        while not self._stopped:
            for key, _ in self._selector.select(self._patience()):
                # a callback before this one may have closed the descriptor, or its number may be reused
                current = self._selector.get_map().get(key.fd)
                if current is not None and current.data is key.data:
                    key.data()
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now and not self._stopped:
                heapq.heappop(self._timers)[2]()

    def close(self) -> None:
        """Free what the reactor holds; after `run` has returned."""
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def _patience(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _take_calls(self) -> None:
        try:
            self._woken.recv(4096)
        except BlockingIOError:
            return
        for _ in range(len(self._calls)):
            self._calls.popleft()()
