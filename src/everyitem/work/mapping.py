"""The shared mapping of one worker process: how far it is, readable whatever happens to it.

One anonymous file of memory, mapped by the worker and by the coordinator. It begins with the cells of
`work/window.py`, followed by further words and the areas of the ring of finished outcomes
(`work/ring.py`). Every word is 8 bytes, aligned, and has a single writer, so no lock is needed and a
process that dies at any instruction leaves it readable.
"""

import mmap
import os
import sys
from typing import Final

_WORD: Final = 8
_HEADER_BYTES: Final = 4096

# Words behind the cells of the window. The worker writes which lease all others are about, and how many of
# its positions have their outcome in the ring; the creator writes how many outcomes the ring holds.
LEASE: Final = 8
FINISHED: Final = 9
CAPACITY: Final = 16

#: How many finished outcomes, and how many bytes of their text, the ring holds.
RING_OUTCOMES: Final = 1 << 15
RING_BYTES: Final = 1 << 20


class Mapping:
    """The memory one worker process shares with its coordinator.

    `words` is the window of the running lease and is indexed by the names of `work/window.py` and of this
    module.
    """

    def __init__(self, fd: int) -> None:
        """Map the file of memory behind `fd`, as made by `create_mapping_file`; `fd` stays the caller's."""
        self._memory = mmap.mmap(fd, os.fstat(fd).st_size)
        if hasattr(mmap, "MADV_DONTFORK"):
            # an item that forks must not go on with our work in its child: there the memory is missing,
            # and the first word the child would write ends it
            self._memory.madvise(mmap.MADV_DONTFORK)
        view = memoryview(self._memory)
        self.words = view[:_HEADER_BYTES].cast("q")
        self.capacity = self.words[CAPACITY]
        ends = _HEADER_BYTES + self.capacity * _WORD
        text = ends + self.capacity * _WORD
        #: Microseconds and flags, end of the text, one word each per finished outcome.
        self.durations = view[_HEADER_BYTES:ends].cast("Q")
        self.ends = view[ends:text].cast("Q")
        self.text = view[text:]
        self._views = (self.words, self.durations, self.ends, self.text, view)

    def close(self) -> None:
        """Unmap the memory; the object is of no use afterwards."""
        for view in self._views:
            view.release()
        self._memory.close()


def create_mapping_file(*, outcomes: int = RING_OUTCOMES, text_bytes: int = RING_BYTES) -> int:
    """A new zeroed file of memory for one worker, with a ring of the given size; returns its descriptor."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("everyitem-worker")
    else:  # macOS has no anonymous files: an unlinked one serves
        import tempfile

        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, _HEADER_BYTES + 2 * outcomes * _WORD + text_bytes)
    os.pwrite(fd, outcomes.to_bytes(_WORD, sys.byteorder), CAPACITY * _WORD)
    return fd
