"""The three standard streams: standard output is ours alone, whatever the user's code prints.

The response must be the only thing on standard output, and an item must not fail because nobody reads what
it prints. So before the user's code is loaded, descriptor 1 becomes another name of standard error, for
`print`, `os.write` and C libraries alike; our own output keeps the real one under another number.
"""

import io
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

from everyitem.model.errors import ErrorCode, EveryitemError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: The real standard output, once it is reserved.
_reserved: TextIO | None = None


class OutputLost(EveryitemError):
    """Standard output is closed, or its device takes no more."""

    code = ErrorCode.SYSTEM_ERROR


def open_missing() -> None:
    """Put the null device where a standard stream was closed by our caller.

    Otherwise the next file opened, a store's perhaps, would be written to by whoever prints. Raises
    `OutputLost` where it was standard output: what there is to say could be said nowhere.
    """
    is_closed = sys.stdout is None
    for descriptor, mode in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # takes the lowest number that is free: this one
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stdin is None:  # who reads it finds nothing
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115 - open for good
    if sys.stderr is None:  # `print(file=None)` would print to standard output
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open for good
    if is_closed:
        raise OutputLost("standard output is closed; where nobody shall read it, send it to /dev/null")


def output() -> TextIO:
    """Standard output, for results."""
    return _reserved or cast(TextIO, sys.stdout)


def reserve_output() -> None:
    """From now on standard output is reached through `output` only; everything else lands on standard error.

    Does nothing where somebody has put a stream of his own in the place of standard output (a test, say).
    """
    global _reserved
    if _reserved is not None or sys.stdout is not sys.__stdout__:
        return
    output().flush()
    # open for good: nobody closes it, and nobody is to be warned of that
    _reserved = os.fdopen(os.dup(1), "w", encoding="utf-8", closefd=False)
    os.dup2(2, 1)
    sys.stdout, sys.stderr = _lenient_stream(1), _lenient_stream(2)


def discard(descriptor: int) -> None:
    """Point a descriptor nobody reads at the null device, so that flushing at exit finds an open file."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    if descriptor == 2 and _reserved is not None:
        os.dup2(null, 1)
    os.close(null)


class _LenientFile(io.FileIO):
    """Takes what is written whether or not it arrives anywhere; a pipe nobody reads is given up."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                discard(2)  # and 1 with it: the next one may not be as careful as we are
            return memoryview(data).nbytes


def _lenient_stream(descriptor: int) -> TextIO:
    return io.TextIOWrapper(
        io.BufferedWriter(_LenientFile(descriptor, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
