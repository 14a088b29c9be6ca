"""Output files appear whole or not at all."""

import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path

from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import UsageError

#: How often a file is moved into its place while others write it, too.
_TRIES = 100
_SQLITE = "sqlite:///"


def check_writable(path: Path | None) -> None:
    """Find out before the work begins that its output could not be written.

    Raises:
        UsageError: the folder does not exist or is not writable, or the path is a folder or no name.
    """
    if path is None:
        return
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} cannot be the name of a file")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the name of a file to write")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} does not exist; create the folder {path.name} should be written to")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"{path.parent} is not writable; {path.name} cannot be written there")


def keep_apart(outputs: Iterable[object], inputs: Iterable[object]) -> None:
    """Find out before the work begins that an output would replace an input, or another output.

    Both may hold anything; names of files and URLs of stores count. Devices and pipes take whatever comes.

    Raises:
        UsageError: says which file it is.
    """
    names = [os.fspath(one) for one in inputs if isinstance(one, str | PathLike)]
    taken = [Path(one.removeprefix(_SQLITE)) for one in names if "\0" not in one]
    for one in outputs:
        if not isinstance(one, str | PathLike):
            continue
        path = Path(one)
        if any(_is_same_file(path, other) for other in taken):
            raise UsageError(f"{path} is needed itself and would be written over; give another name")
        taken.append(path)


def _is_same_file(path: Path, other: Path) -> bool:
    if not path.exists() or not other.exists():
        return path.resolve() == other.resolve()
    return path.is_file() and path.samefile(other)


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
        _replace(path.resolve(), parts)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error


def _replace(final: Path, parts: Iterable[bytes]) -> None:
    """Write a file that has no name before it is whole, so that a killed process leaves nothing behind."""
    handle, temporary = _open_unnamed(final)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fchmod(handle, _usual_mode())
            os.fsync(handle)
            passing(Failpoint.OUTPUT_WRITTEN)
            if temporary is None:
                _move_unnamed(handle, final)
            else:
                temporary.replace(final)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise
    passing(Failpoint.OUTPUT_RENAMED)
    _sync_folder(final.parent)


def _sync_folder(folder: Path) -> None:
    """Make the new name last; a folder one may write to and not read cannot be synced."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _open_unnamed(final: Path) -> tuple[int, Path | None]:
    """A new file for the content of `final`; with a name where the file system knows none without."""
    try:
        return os.open(final.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), None
    except (AttributeError, OSError):
        handle, name = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
        return handle, Path(name)


def _move_unnamed(handle: int, final: Path) -> None:
    """Put the whole file into its place: a link cannot replace what is there, a rename of a link can.

    Raises `OSError`, also when others keep writing the same file at the same moment.
    """
    temporary = final.parent / f".{final.name}.everyitem"
    for left in reversed(range(_TRIES)):
        # left by who was killed between the next two calls, or in use by who writes the same file right now
        temporary.unlink(missing_ok=True)
        try:
            # a `dir_fd`, without meaning for a whole path, makes Python use the call that follows links
            os.link(f"/proc/self/fd/{handle}", temporary, src_dir_fd=handle, follow_symlinks=True)
            passing(Failpoint.OUTPUT_NAMED)
            temporary.replace(final)
        except (FileExistsError, FileNotFoundError):
            if not left:
                raise
        else:
            return


def _usual_mode() -> int:
    """What a newly created file would get: `mkstemp` makes it private, a result file need not be."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
