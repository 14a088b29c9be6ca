"""Opening the file behind a source: regular files only, never blocking on a pipe or device."""

import codecs
import os
import stat
from pathlib import Path
from typing import BinaryIO

from everyitem.ports.source import SourceSpec, SourceUnavailable

_WIDE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def source_path(spec: SourceSpec) -> Path:
    """The file a source refers to."""
    return Path(spec.base) / spec.reference


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; raises `SourceUnavailable` saying why it cannot be."""
    try:
        # O_NONBLOCK: opening a FIFO without a writer would wait for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceUnavailable(f"{path}: {reason}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceUnavailable(f"{path}: not a regular file")
    return os.fdopen(descriptor, "rb")


def skip_mark(file: BinaryIO) -> None:
    """Go on behind a UTF-8 byte order mark at the start: spreadsheets and some editors write one."""
    file.seek(len(codecs.BOM_UTF8) if file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0)


def foreign_encoding(file: BinaryIO) -> str | None:
    """The name of the encoding a file begins in, when it is visibly not UTF-8. Reads from its start."""
    file.seek(0)
    head = file.read(4)
    file.seek(0)
    for mark, name in _WIDE_MARKS.items():
        if head.startswith(mark):
            return name
    return "UTF-16 or UTF-32" if b"\x00" in head[:4] else None
