"""What a worker process prints: the end of it is kept, the whole is passed to a logger."""

import logging
import os
from pathlib import Path
from typing import Final

logger = logging.getLogger("everyitem.worker")

#: Bytes kept of a worker's output, and of one line in a message.
_KEPT: Final = 16 * 1024
_LINE: Final = 500
_READ: Final = 1 << 16
#: How lines begin that `faulthandler` prints about us rather than about the user's code.
_NOT_THEIRS: Final = (
    f'  File "{Path(__file__).parents[2]}{os.sep}',
    '  File "<string>"',
    "Extension modules:",
)
#: Portions read at most of what a dead worker has left; a pipe holds one or two.
_PORTIONS: Final = 32


class LogTail:
    """The output of one worker process, read from its private pipe."""

    def __init__(self, fd: int, holder: str) -> None:
        """Take over `fd`, the reading end of the pipe."""
        os.set_blocking(fd, False)
        self.fd = fd
        self.ended = False
        self._holder = holder
        self._kept = bytearray()
        self._line = b""

    def read(self) -> bool:
        """Take a portion of what is there; False when there is nothing (`ended` says whether for good)."""
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            return False
        self.ended = not data
        self._kept += data
        del self._kept[:-_KEPT]
        if logger.isEnabledFor(logging.INFO):
            *lines, self._line = (self._line[-_KEPT:] + data).split(b"\n")
            for line in lines:
                logger.info("%s: %s", self._holder, line.decode(errors="replace"))
        return bool(data)

    def read_rest(self) -> None:
        """Take what a dead worker has left; not for ever, as children it leaked may go on printing."""
        for _ in range(_PORTIONS):
            if not self.read():
                return

    def quoted(self, message: str) -> str:
        """The message, followed by the last lines printed if there are any."""
        lines = self.last_lines()
        return "\n".join([f"{message}; it last printed:", *lines]) if lines else message

    def last_lines(self, count: int = 12) -> list[str]:
        """The last lines printed, each cut to a bearable length, without our own frames of a traceback."""
        lines = self._kept.decode(errors="replace").splitlines()
        kept = [line[:_LINE] for line in lines if line.strip() and not line.startswith(_NOT_THEIRS)]
        return kept[-count:]

    def close(self) -> None:
        """Close the reading end of the pipe."""
        os.close(self.fd)
