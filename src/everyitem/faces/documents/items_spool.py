"""Where items of a source are put while they are read: in memory when they are few, else in a file.

A source may hold millions of items. Beyond a few megabytes their text goes to an unnamed temporary file, so
that intake takes memory by the number of items, not by their size. The store gets its copy from there.
"""

import hashlib
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from everyitem.model.items import InMemoryItems, ItemChunk, Items, ItemText
from everyitem.ports.source import SourceUnavailable

#: Bytes of items held in memory before they move to a file.
SPOOL_BYTES = 16 << 20


class ItemsSpool:
    """Takes the items' text chunk by chunk and hands it over whole."""

    def __init__(self, *, most: float) -> None:
        """`most` bytes are held in memory; `math.inf` for what is in memory anyway."""
        self._most = most
        self._parts: list[bytes] = []
        self._held = 0
        #: Closed, and with that deleted, when nobody has the spool or its items any more.
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        #: Items and bytes of each block.
        self._blocks: list[tuple[int, int]] = []

    def add(self, text: bytes, blocks: Iterable[tuple[int, int]]) -> None:
        """A chunk: a compact JSON array of items, in these blocks (see `ItemText`).

        Raises `SourceUnavailable` when the folder for temporary files does not take it.
        """
        if text == b"[]":
            return
        self._write((b"," if self._blocks else b"[") + text[1:-1])
        self._blocks += blocks

    def finish(self, *, named: bool) -> Items:
        """All items. Raises `SourceUnavailable` like `add`."""
        self._write(b"]" if self._blocks else b"[]")
        digest = self._digest.hexdigest()
        if self._file is None:
            # one join copies the items once
            text, self._parts = b"".join(self._parts), []
            return InMemoryItems(text, named=named, digest=digest, blocks=self._blocks)
        self._closing.detach()
        return SpooledItems(self._file, named=named, digest=digest, blocks=self._blocks)

    def _write(self, text: bytes) -> None:
        self._digest.update(text)
        self._parts.append(text)
        self._held += len(text)
        if self._held > self._most:
            self._move_to_file()

    def _move_to_file(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="everyitem-")  # noqa: SIM115
                self._closing = weakref.finalize(self, self._file.close)
            self._file.writelines(self._parts)
            self._file.flush()
        except OSError as error:
            raise SourceUnavailable(
                f"the items do not fit into the folder for temporary files: {error.strerror or error}; "
                "make room there, or name another in TMPDIR"
            ) from None
        self._parts = []


class SpooledItems:
    """Items in a temporary file that is gone when they are. Safe to read from several threads."""

    def __init__(
        self, file: BinaryIO, *, named: bool, digest: str, blocks: Iterable[tuple[int, int]]
    ) -> None:
        self._text = ItemText(blocks, lambda start, stop: os.pread(file.fileno(), stop - start, start))
        weakref.finalize(self, file.close)
        self.named = named
        self.digest = digest

    def __len__(self) -> int:
        return len(self._text)

    def text(self, indices: Sequence[int]) -> bytes:
        return self._text.text(indices)

    def chunks(self) -> Iterator[ItemChunk]:
        return self._text.chunks()
