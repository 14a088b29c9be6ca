"""What wakes a thread that waits for several things at once."""

import os
import threading
from contextlib import suppress


class Bell:
    """Rung from any thread, heard by the one that watches its descriptor."""

    def __init__(self) -> None:
        self._hears, self._rings = os.pipe()
        os.set_blocking(self._hears, False)
        os.set_blocking(self._rings, False)
        self._guard = threading.Lock()
        self._is_open = True

    @property
    def descriptor(self) -> int:
        """Readable once it was rung."""
        return self._hears

    def ring(self) -> None:
        """Wake whoever waits, or who is going to wait next; after its end nobody."""
        with self._guard:
            if self._is_open:
                # full is as good: somebody has rung already
                with suppress(BlockingIOError):
                    os.write(self._rings, b"!")

    def hush(self) -> None:
        """It was heard."""
        with suppress(BlockingIOError):
            os.read(self._hears, 65536)

    def close(self) -> None:
        """Free the descriptors; safe to repeat."""
        with self._guard:
            if self._is_open:
                self._is_open = False
                os.close(self._hears)
                os.close(self._rings)
