"""Where a store's file may lie, and with which permissions it is made."""

import os
import re
import threading
from contextlib import suppress
from pathlib import Path

from everyitem.adapters.stores.sqlite.failures import writing_advice
from everyitem.failpoints import Failpoint, passing
from everyitem.model.errors import StoreError, UsageError

#: File systems on which the locks and the shared memory of SQLite's WAL cannot be relied on.
REMOTE_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "afs",
        "ncpfs",
        "davfs",
        "fuse.sshfs",
        "fuse.rclone",
        "fuse.s3fs",
    }
)

#: Nobody in this process opens a store between another one's creating and closing the file.
_making = threading.Lock()

_MOUNTS = Path("/proc/self/mountinfo")


def require(path: Path) -> None:
    """Raise `UsageError` where there is no store at `path`, and make none.

    Who makes one where a volume is not mounted hides it: the next run finds an empty store, and the volume
    cannot be put back over it.
    """
    if not path.is_file():
        raise UsageError(f"there is no store at {path}")


def prepare(path: Path) -> None:
    """Make the store's directory (0700) and file (0600) where they are missing.

    Raises `UsageError` when `path` is no file, `StoreError` when nothing can be written there.
    """
    if path.exists() and not path.is_file():
        raise UsageError(f"store {path}: this is not a file; name the file the store shall be")
    refuse_remote(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make(path)
    except OSError as error:
        raise StoreError(
            f"store {path}: cannot be written ({error.strerror}); {writing_advice(path)}"
        ) from error
    if not os.access(path, os.W_OK):
        raise StoreError(f"store {path}: cannot be written; {writing_advice(path)}")


def _make(path: Path) -> None:
    """Create an empty file for SQLite, whose -wal and -shm files get the same permissions.

    A file that is there is never opened: closing it again would drop every lock this process holds on it,
    those of SQLite's connections included, and another process could then delete the WAL under them.
    """
    with _making:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            passing(Failpoint.STORE_FILE_MADE)
            _sync_folder(path.parent)
        except FileExistsError:
            return


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder last; one may be allowed to write to it and not to read or sync it."""
    with suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def refuse_remote(path: Path) -> None:
    """Raise `StoreError` when the path lies on a network file system."""
    kind = file_system_of(path)
    if kind in REMOTE_FILE_SYSTEMS:
        raise StoreError(
            f"store {path}: lies on a network file system ({kind}), where SQLite can lose data; "
            "name a place on a local disk with --store"
        )


def file_system_of(path: Path) -> str | None:
    """Type of the file system the path lies on (`ext4`, `nfs4`, ...), None where that cannot be told."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return None
    place = f"{path.resolve()}/"
    longest, kind = 0, None
    for line in lines:
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
        fields, _, rest = line.partition(" - ")
        mount = _unescape(fields.split()[4]).rstrip("/") + "/"
        # a later mount over the same point hides the earlier one
        if place.startswith(mount) and len(mount) >= longest:
            longest, kind = len(mount), rest.split()[0]
    return kind


def _unescape(mount: str) -> str:
    if "\\" not in mount:
        return mount
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), mount)
