"""R2, the lying disk: SQLite's own file layer, wrapped, so that writes fail, are cut short, or never arrive.

The layer under every connection of this process is SQLite's default one with four calls replaced: write,
truncate, sync and delete; the two calls with which our own code writes a log again lead to the same disk.
What they are told is logged, in order, with the moments at which the program was told that something is safe.
From such a log the disk is rebuilt as a power cut at any moment might leave it.
"""

import _sqlite3
import ctypes
import errno
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from everyitem.adapters.stores.sqlite import wal

#: What SQLite's file layer answers (sqlite.org/rescode.html).
OK, FULL = 0, 13
IOERR_WRITE, IOERR_FSYNC = 10 | 3 << 8, 10 | 4 << 8

#: A power cut leaves whole sectors of a write, in any order.
SECTOR = 512

_POINTER, _INT, _LONG, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_char_p
_WRITE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT, _LONG)
_TRUNCATE = ctypes.CFUNCTYPE(_INT, _POINTER, _LONG)
_SYNC = ctypes.CFUNCTYPE(_INT, _POINTER, _INT)
# names as bare pointers: SQLite keeps the one it hands over, a copy would not live long enough
_OPEN = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _POINTER, _INT, ctypes.POINTER(_INT))
_DELETE = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER, _INT)


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`."""

    _fields_ = (
        ("version", _INT),
        ("close", _POINTER),
        ("read", _POINTER),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        *((f"other{number}", _POINTER) for number in range(13)),
    )


class _File(ctypes.Structure):
    """`sqlite3_file`: everything behind its methods is the business of who made it."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class _Layer(ctypes.Structure):
    """`sqlite3_vfs`."""

    _fields_ = (
        ("version", _INT),
        ("file_size", _INT),
        ("longest_name", _INT),
        ("next", _POINTER),
        ("name", _TEXT),
        ("data", _POINTER),
        ("open", _OPEN),
        ("delete", _DELETE),
        *((f"other{number}", _POINTER) for number in range(14)),
    )


@dataclass(frozen=True)
class Event:
    """One thing that happened to the disk, or (`acknowledged`) that somebody was told it had."""

    kind: str
    #: Name of the file.
    name: str = ""
    offset: int = 0
    data: bytes = b""
    note: Any = None


#: Decides about a write (its length) or a sync (None): OK, or the error to answer.
Verdict = Callable[[str, int | None], int]


@dataclass
class Disk:
    """What the wrapped layer was told, and what it answers."""

    #: Only files in this folder are concerned.
    folder: Path
    verdict: Verdict = lambda _name, _length: OK
    log: list[Event] = field(default_factory=list)
    #: Whether a failing write leaves its first half.
    halves: bool = False
    #: Writes and syncs so far.
    operations: int = 0
    failed: int = 0
    _names: dict[int, str] = field(default_factory=dict)

    def acknowledge(self, note: Any) -> None:
        """Somebody relies from now on on what was written before."""
        self.log.append(Event("acknowledged", note=note))

    def answer(self, name: str, length: int | None) -> int:
        """What the layer says to a write or sync of a file."""
        self.operations += 1
        code = self.verdict(name, length)
        self.failed += code != OK
        return code


@contextmanager
def lying_disk(disk: Disk) -> Iterator[Disk]:
    """Put the disk under every connection this process opens meanwhile."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = ctypes.POINTER(_Layer)
    real = library.sqlite3_vfs_find(None).contents
    layer = _Layer()
    ctypes.memmove(ctypes.byref(layer), ctypes.byref(real), ctypes.sizeof(_Layer))
    wrapped: dict[int, _Methods] = {}
    layer.name, layer.next = b"lying", None
    layer.open = _OPEN(lambda *call: _opened(disk, real, wrapped, *call))
    layer.delete = _DELETE(lambda *call: _deleted(disk, real, *call))
    assert library.sqlite3_vfs_register(ctypes.byref(layer), 1) == OK
    try:
        with _writing_again(disk):
            yield disk
    finally:
        assert library.sqlite3_vfs_register(ctypes.byref(real), 1) == OK
        assert library.sqlite3_vfs_unregister(ctypes.byref(layer)) == OK
        # a connection that is closed later still calls the wrapped methods
        _kept.append((layer, wrapped))


_kept: list[Any] = []


def _opened(
    disk: Disk, real: _Layer, wrapped: dict[int, _Methods], layer: int, name: int | None, file: int,
    flags: int, out: Any,
) -> int:  # fmt: skip
    code: int = real.open(ctypes.byref(real), name, file, flags, out)
    if code != OK or name is None:
        return code
    path = Path(ctypes.string_at(name).decode())
    if not path.is_relative_to(disk.folder):
        return code
    disk._names[file] = path.name
    opened = _File.from_address(file)
    address = ctypes.addressof(opened.methods.contents)
    if address not in wrapped:
        wrapped[address] = _wrap(disk, opened.methods.contents)
    opened.methods = ctypes.pointer(wrapped[address])
    return code


def _deleted(disk: Disk, real: _Layer, layer: int, name: int, sync: int) -> int:
    path = Path(ctypes.string_at(name).decode())
    if path.is_relative_to(disk.folder):
        disk.log.append(Event("deleted", path.name))
    code: int = real.delete(ctypes.byref(real), name, sync)
    return code


def _wrap(disk: Disk, real: _Methods) -> _Methods:
    """The methods with ours in place of those that change a file."""
    methods = _Methods()
    ctypes.memmove(ctypes.byref(methods), ctypes.byref(real), ctypes.sizeof(_Methods))

    def write(file: int, data: int, length: int, offset: int) -> int:
        code = disk.answer(disk._names[file], length)
        done = length if code == OK else length // 2 if disk.halves else 0
        if done:
            disk.log.append(Event("written", disk._names[file], offset, ctypes.string_at(data, done)))
            code = real.write(file, data, done, offset) or code
        return code

    def truncate(file: int, size: int) -> int:
        disk.log.append(Event("truncated", disk._names[file], size))
        code: int = real.truncate(file, size)
        return code

    def sync(file: int, flags: int) -> int:
        code = disk.answer(disk._names[file], None)
        # after a failed sync the kernel forgets that the pages were dirty: no later sync brings them
        disk.log.append(Event("synced" if code == OK else "forgotten", disk._names[file]))
        return code or real.sync(file, flags)

    methods.write, methods.truncate, methods.sync = _WRITE(write), _TRUNCATE(truncate), _SYNC(sync)
    return methods


@contextmanager
def _writing_again(disk: Disk) -> Iterator[None]:
    """Put the disk under what writes the log again without SQLite, too."""
    real_write, real_sync = wal._write, wal._sync

    def write(file: int, piece: bytes, offset: int) -> int:
        if (name := _name_in(disk, file)) is None:
            return real_write(file, piece, offset)
        code = disk.answer(name, len(piece))
        done = len(piece) if code == OK else len(piece) // 2 if disk.halves else 0
        disk.log.append(Event("written", name, offset, piece[:done]))
        if code != OK:
            raise OSError(errno.ENOSPC if code == FULL else errno.EIO, "the disk lies")
        return real_write(file, piece, offset)

    def sync(file: int) -> None:
        if (name := _name_in(disk, file)) is not None:
            code = disk.answer(name, None)
            disk.log.append(Event("synced" if code == OK else "forgotten", name))
            if code != OK:
                raise OSError(errno.EIO, "the disk lies")
        real_sync(file)

    with patch.object(wal, "_write", write), patch.object(wal, "_sync", sync):
        yield


def _name_in(disk: Disk, file: int) -> str | None:
    """The name of an open file of that disk."""
    path = Path(f"/proc/self/fd/{file}").readlink()
    return path.name if path.is_relative_to(disk.folder) else None


class PowerCut:
    """The disk as it may stand after the power went at some moment of a log."""

    def __init__(self, log: list[Event], chance: random.Random) -> None:
        self._log, self._chance = log, chance

    def at(self, moment: int, folder: Path) -> list[Any]:
        """Rebuild the files as of `log[:moment]` in a folder; returns what had been acknowledged."""
        safe: dict[str, bytearray] = {}
        loose: dict[str, list[Event]] = {}
        acknowledged = []
        for event in self._log[:moment]:
            match event.kind:
                case "acknowledged":
                    acknowledged.append(event.note)
                case "synced":
                    for earlier in loose.pop(event.name, []):
                        _apply(safe, earlier)
                case "forgotten":
                    self._lose(safe, loose.pop(event.name, []))
                case "deleted":
                    # a deleted file is gone: nobody relies on it any more, whichever way it comes
                    safe.pop(event.name, None)
                    loose.pop(event.name, None)
                case _:
                    loose.setdefault(event.name, []).append(event)
        for events in loose.values():
            self._lose(safe, events)
        for name, content in safe.items():
            (folder / name).write_bytes(content)
        return acknowledged

    def _lose(self, safe: dict[str, bytearray], events: list[Event]) -> None:
        """Of writes nobody synced some arrive, some do not, and of some a few sectors do."""
        for event in events:
            fate = self._chance.random()
            if fate < 0.4:
                _apply(safe, event)
            elif fate < 0.7 and event.kind == "written":
                for start in range(0, len(event.data), SECTOR):
                    if self._chance.random() < 0.5:
                        part = event.data[start : start + SECTOR]
                        _apply(safe, Event("written", event.name, event.offset + start, part))


def _apply(safe: dict[str, bytearray], event: Event) -> None:
    content = safe.setdefault(event.name, bytearray())
    if event.kind == "truncated":
        del content[event.offset :]
        return
    end = event.offset + len(event.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[event.offset : end] = event.data
