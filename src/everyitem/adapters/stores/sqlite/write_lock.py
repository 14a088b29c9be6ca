"""The file lock under which everything is written.

SQLite before 3.51.3 can corrupt a WAL when several connections write and checkpoint at the same time, so
each write transaction and each WAL checkpoint of any process runs under an exclusive `flock` on `<db>.lock`.
The kernel frees it when its holder dies, however that happens.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from everyitem.model.errors import StoreError

#: Seconds to wait for the lock before giving up: storing a very large input takes a few.
PATIENCE = 30.0

_FIRST_WAIT = 0.0002
_LONGEST_WAIT = 0.005


class WriteLock:
    """An exclusive lock between connections, in one process or in several; not re-entrant."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock. Raises `StoreError` when another process keeps it for `PATIENCE` seconds."""
        self._take()
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self) -> None:
        wait = _FIRST_WAIT
        deadline = None
        while True:
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
                deadline = deadline or now + PATIENCE
                if now > deadline:
                    raise StoreError(
                        f"another process has kept {self.path} locked for {PATIENCE:g} s; "
                        "find it with `fuser` on that file, then try again"
                    ) from None
            time.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._file < 0

    def close(self) -> None:
        """Free the file; safe to repeat."""
        if not self.is_closed:
            os.close(self._file)
            self._file = -1
