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

#: Seconds between two tries. A transaction holds the lock for about a millisecond and its owner may want it
#: again at once, so who looks too rarely never meets it free; a long wait (a large input) looks less often.
_WAIT = 0.0003
_LONG_WAIT = 0.005
_LONG = 2.0


class WriteLock:
    """An exclusive lock between connections, in one process or in several; not re-entrant."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def held(self, *, patience: float = PATIENCE) -> Iterator[None]:
        """Hold the lock. Raises `StoreError` when another connection keeps it for `patience` seconds."""
        self._take(patience)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _take(self, patience: float) -> None:
        started = None
        while True:
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
                started = started or now
                waited = now - started
                if waited >= patience:
                    raise StoreError(
                        f"another process has kept {self.path} locked for {patience:g} s; "
                        "find it with `fuser` on that file, then try again"
                    ) from None
            time.sleep(_WAIT if waited < _LONG else _LONG_WAIT)

    @property
    def is_marked(self) -> bool:
        """Whether anybody has called `mark` since `unmark` was called last, in whichever process."""
        return os.fstat(self._file).st_size > 0

    def mark(self) -> None:
        """Leave a mark that every process sees; it is a size without content, which no full disk refuses."""
        os.ftruncate(self._file, 1)

    def unmark(self) -> None:
        """Take the mark away."""
        os.ftruncate(self._file, 0)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._file < 0

    def close(self) -> None:
        """Free the file; safe to repeat."""
        if not self.is_closed:
            os.close(self._file)
            self._file = -1
