"""What SQLite's errors mean for the user of a store."""

import os
import sqlite3
from pathlib import Path

import msgspec

from everyitem.model.errors import StoreDamaged, StoreError, StoreFull, StoreRefused

#: What reading a damaged or refused file raises; the last two for values that are not what was written.
FAULTS = (sqlite3.Error, UnicodeDecodeError, msgspec.DecodeError)

_PRIMARY = 0xFF
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REFUSED = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

#: Below this many free bytes an I/O error on writing is taken for a full disk (quotas report it so).
_NEARLY_NOTHING = 1 << 20


def translated(error: Exception, path: Path) -> StoreError:
    """The store error that says what happened to the file, and what to do."""
    if not isinstance(error, sqlite3.Error):
        return StoreDamaged(f"store {path}: holds what nobody wrote ({error}); restore it from a copy")
    extended = getattr(error, "sqlite_errorcode", 0)
    code = extended & _PRIMARY
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _is_nearly_full(path)):
        return StoreFull(f"store {path}: no space left to write ({error}); free some, then resume")
    if code in _DAMAGED:
        return StoreDamaged(f"store {path}: is damaged or no SQLite file ({error}); restore it from a copy")
    if code in _REFUSED:
        return StoreRefused(f"store {path}: cannot be written ({error}); {writing_advice(path)}")
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"store {path}: cannot be opened or written ({error}); {writing_advice(path)}")
    if code in _BUSY:
        return StoreError(f"store {path}: kept locked by another program ({error}); close it and try again")
    return StoreError(f"store {path}: {error}; check the disk, then resume")


def writing_advice(path: Path) -> str:
    """What to do where a store cannot be written."""
    if is_on_read_only_system(path):
        return "its file system is mounted read-only; name another place with --store"
    return "check the permissions of the file and its folder, or name another place with --store"


def is_on_read_only_system(path: Path) -> bool:
    """Whether nobody can write there, whatever the permissions say."""
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _is_nearly_full(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _NEARLY_NOTHING
