"""A log handler that makes nobody wait: records are written by a thread of its own."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable

#: Records that may wait; what comes while so many do is counted and dropped.
MOST_WAITING = 10_000


class BackgroundHandler(logging.Handler):
    """Hands formatted records to `write`, which may block, from a daemon thread."""

    def __init__(self, write: Callable[[str], None], formatter: logging.Formatter) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(formatter)
        self._write = write
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="everyitem-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # what cannot be shown must not harm who said it
            line = ""
        with self._changed:
            if not line or len(self._waiting) >= MOST_WAITING:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._changed.notify()

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits, as far as that can be done in `timeout` seconds."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        super().close()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
                line = self._waiting.popleft()
                dropped, self._dropped = self._dropped, 0
            # whoever is written to may be gone; the work goes on
            with contextlib.suppress(Exception):
                self._write(line)
                if dropped:
                    self._write(self.format(_dropping(dropped)))


def _dropping(count: int) -> logging.LogRecord:
    text = "%d log records were dropped: nobody took them off in time"
    return logging.LogRecord("everyitem", logging.WARNING, __file__, 0, text, (count,), None)
