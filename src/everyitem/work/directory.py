"""The working directory items find: an item may change it, the items after it must not notice."""

import contextlib
import os


class WorkingDirectory:
    """Remembers the directory in force when it was made, and goes back to it.

    Asking the system costs up to 10 us, so it is done between stretches or blocks, not between items.
    """

    def __init__(self) -> None:
        self._home = _current()

    def restore(self) -> None:
        """Undo an item's `os.chdir`."""
        if self._home is not None and _current() != self._home:
            with contextlib.suppress(OSError):
                os.chdir(self._home)


def _current() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  a Path costs more
    except OSError:
        # it was deleted; there is nothing to come back to
        return None
