"""A copy of large stored items beside the process, made while a run goes on.

A run that was resumed, redriven or recovered takes large inputs from the store, chunk by chunk. While the
store is out of reach, whoever needs items that were not read yet would wait for it, and look neither at the
clock nor at memory meanwhile. So a thread of its own reads all chunks once, from the first moments of the
run on, into an unnamed temporary file; from then on the store is asked for no more items.
"""

import errno
import logging
import os
import tempfile
import threading
import weakref
from contextlib import suppress
from io import FileIO
from types import TracebackType
from typing import Final, Self

from everyitem.model.errors import EveryitemError, StoreDamaged, StoreError
from everyitem.model.items import ItemChunk, Items, StoredItems

_log = logging.getLogger("everyitem.store")

#: Seconds between two attempts to read from a store that is out of reach.
_AGAIN: Final = 1.0


class NearbyCopy:
    """Copies the chunks of stored items for as long as it is entered; of other items it does nothing.

    Without room for the copy the items are read from the store as before.
    """

    def __init__(self, items: Items) -> None:
        self._items = items if isinstance(items, StoredItems) else None
        self._file: FileIO | None = None
        #: (first index, item count, place in the file, bytes) of each chunk that is copied.
        self._copied: list[tuple[int, int, int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._copy, name="everyitem-copy", daemon=True)

    def __enter__(self) -> Self:
        if self._items is not None:
            load = self._items.load
            self._items.load = lambda number: self._read(number) or load(number)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._items is not None:
            # the store is closed next
            self._thread.join()

    def _read(self, number: int) -> ItemChunk | None:
        """A chunk that is copied; None where it is not (yet)."""
        if self._file is None:
            return None
        try:
            first, count, start, length = self._copied[number]
        except IndexError:
            return None
        text = os.pread(self._file.fileno(), length, start)
        return ItemChunk(first, count, text) if len(text) == length else None

    def _copy(self) -> None:
        assert self._items is not None
        try:
            self._file = file = tempfile.TemporaryFile(prefix="everyitem-", buffering=0)  # noqa: SIM115
            # gone when nobody has it any more: who reads may outlive the run
            weakref.finalize(self, file.close)
            start = 0
            for number in range(self._items.chunk_count):
                chunk = self._fetch(self._items, number)
                if chunk is None:
                    return
                if file.write(chunk.text) != len(chunk.text):
                    raise OSError(errno.ENOSPC, "there is no more room")
                self._copied.append((chunk.first, chunk.count, start, len(chunk.text)))
                start += len(chunk.text)
        except OSError as error:
            _log.debug("the items are not copied, and read from the store as before: %s", error)
            self._give_way()
        except EveryitemError as error:
            # a damaged chunk is for whoever needs it
            _log.debug("the items are not copied any further, and read from the store as before: %s", error)

    def _give_way(self) -> None:
        """Leave a disk that is full to those who need it more; who is reading meets a short chunk."""
        self._copied.clear()
        if self._file is not None:
            with suppress(OSError):
                self._file.truncate(0)

    def _fetch(self, items: StoredItems, number: int) -> ItemChunk | None:
        """Read a chunk from the store, again until it is there; None when it is not wanted any more."""
        while not self._over.is_set():
            try:
                return items.read(number)
            except StoreDamaged:
                raise
            except StoreError:
                self._over.wait(_AGAIN)
        return None
