"""Output files appear whole or not at all."""

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from everyitem.model.errors import UsageError


def check_writable(path: Path | None) -> None:
    """Find out before the work begins that its output could not be written.

    Raises:
        UsageError: the folder does not exist or is not writable, or the path is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} does not exist; create the folder {path.name} should be written to")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path.parent} is not writable; {path.name} cannot be written there")


def write_whole(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file beside its final place and rename it, so that no reader ever sees half of it.

    Devices and pipes (`/dev/stderr`, a FIFO) cannot be renamed onto and are written as they are.

    Raises:
        UsageError: the file cannot be written; says why.
    """
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with path.open("wb") as stream:
                stream.writelines(parts)
            return
        final = path.resolve()
        handle, temporary = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.writelines(parts)
                stream.flush()
                os.fsync(stream.fileno())
                os.fchmod(stream.fileno(), _usual_mode())
            Path(temporary).replace(final)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _usual_mode() -> int:
    """What a newly created file would get: `mkstemp` makes it private, a result file need not be."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
