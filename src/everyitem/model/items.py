"""The items of a batch as bytes: accepted once, never changed, decoded only by workers.

The canonical form of a batch's items is the text of one JSON array without white space between tokens.
Its SHA-256 is the items' digest; it does not depend on how the text is cut into chunks.
"""

import hashlib
import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Protocol

import msgspec

#: Items per stored chunk, and the text size (bytes) at which a chunk is closed early.
CHUNK_ITEMS = 2048
CHUNK_BYTES = 1 << 20
#: Items whose place in the text is noted together; who reads many, reads from one multiple of it to another.
BLOCK_ITEMS = 256

_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_item_id = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class ItemChunk(msgspec.Struct, frozen=True, gc=False):
    """A contiguous part of the items: `text` is a compact JSON array of `count` items from `first` on."""

    first: int
    count: int
    text: bytes


class Items(Protocol):
    """The items of one batch, by 0-based index."""

    #: True when at least one item carries an `itemId` of its own.
    named: bool
    #: SHA-256 (hex) of the canonical text.
    digest: str

    def __len__(self) -> int: ...

    def text(self, indices: Sequence[int]) -> bytes:
        """Compact JSON array of the given items, in the given order."""
        ...

    def chunks(self) -> Iterator[ItemChunk]:
        """All items in order, for storing and for reading in one pass."""
        ...


def item_id_of(text: bytes, index: int) -> str:
    """The id of the item with this JSON text: its own `itemId`, else its position (contract section 1)."""
    if text[:1] == b"{":
        own = _item_id(text).get("itemId")
        if own is not None:
            return str(msgspec.json.decode(own))
    return str(index)


def digest_of(items: Items) -> str:
    """The items' digest computed anew from their chunks: what it should be is `items.digest`."""
    digest = hashlib.sha256(b"[")
    for chunk in items.chunks():
        if chunk.first:
            digest.update(b",")
        digest.update(memoryview(chunk.text)[1:-1])
    digest.update(b"]")
    return digest.hexdigest()


class ItemText:
    """The canonical text of all items, and where each of them stands in it.

    That is known for the first item of each block. Within a block items are looked for when one of them is
    asked for: most are only ever read by whole blocks, and to note the place of each costs a fifth of what it
    costs to run one that does nothing.
    """

    def __init__(self, blocks: Iterable[tuple[int, int]], read: Callable[[int, int], bytes]) -> None:
        """`blocks` are items and bytes of one block after the other, commas between its items included.

        `read(start, stop)` gives the bytes of the canonical text from `start` up to `stop`.
        """
        self._read = read
        #: First item of each block, and where that begins; at the end what would come next.
        self._firsts, self._starts = array("Q", [0]), array("Q", [1])
        first, start = 0, 1
        for count, length in blocks:
            first += count
            # a comma stands between two blocks
            start += length + 1
            self._firsts.append(first)
            self._starts.append(start)
        #: Blocks of which single items were read.
        self._visited: set[int] = set()
        #: For blocks that were looked into, see `_looked_into`.
        self._within: dict[int, Sequence[int]] = {}

    def __len__(self) -> int:
        return self._firsts[-1]

    def text(self, indices: Sequence[int]) -> bytes:
        """Compact JSON array of the given items, in the given order."""
        if isinstance(indices, range) and indices.step == 1:
            if not indices:
                return b"[]"
            return b"[" + self._read(self._start(indices.start), self._start(indices.stop) - 1) + b"]"
        return b"[" + b",".join(self._each(indices)) + b"]"

    def _each(self, indices: Sequence[int]) -> Iterator[bytes | msgspec.Raw]:
        first, stop = 0, 0
        item_at: Callable[[int], bytes | msgspec.Raw]
        for index in indices:
            # neighbours mostly stand in one block
            if not first <= index < stop:
                number = bisect_right(self._firsts, index) - 1
                first, stop = self._firsts[number], self._firsts[number + 1]
                item_at = self._opened(number)
            yield item_at(index - first)

    def _opened(self, number: int) -> Callable[[int], bytes | msgspec.Raw]:
        """The items of a block by their place in it."""
        if number not in self._visited and number not in self._within:
            # most are visited once, for all items that failed in it: their places need no noting
            self._visited.add(number)
            return _raw_list(self._block(number)).__getitem__
        within = self._looked_into(number)
        # a byte stands behind each item
        return lambda place: self._read(within[place] + place, within[place + 1] + place)

    def chunks(self) -> Iterator[ItemChunk]:
        """All items in chunks within both bounds."""
        first, count = 0, len(self)
        while first < count:
            most = self._start(first) + CHUNK_BYTES
            stop = min(first + CHUNK_ITEMS, count)
            if self._start(stop) > most:
                stop = max(first + 1, bisect_right(range(stop), most, lo=first + 1, key=self._start) - 1)
            yield ItemChunk(first, stop - first, self.text(range(first, stop)))
            first = stop

    def _start(self, index: int) -> int:
        """Where an item begins, or, for the one behind the last, where it would."""
        number = bisect_right(self._firsts, index) - 1
        if self._firsts[number] == index:
            return self._starts[number]
        place = index - self._firsts[number]
        return self._looked_into(number)[place] + place

    def _looked_into(self, number: int) -> Sequence[int]:
        """Where each item of a block would begin, and the next block, if nothing stood between items."""
        within = self._within.get(number)
        if within is None:
            lengths = map(len, _raw_list(self._block(number)))
            within = array("Q", list(accumulate(lengths, initial=self._starts[number])))
            self._within[number] = within
        return within

    def _block(self, number: int) -> bytes:
        return b"[" + self._read(self._starts[number], self._starts[number + 1] - 1) + b"]"


def blocks_of(lengths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Items and bytes of each block that items of these lengths make.

    A block of several items is no longer than a chunk may be: whoever wants one of them reads all.
    """
    first = 0
    while first < len(lengths):
        part = lengths[first : first + BLOCK_ITEMS]
        if sum(part) + len(part) - 1 > CHUNK_BYTES:
            # a comma behind each but the last
            ends = list(accumulate(length + 1 for length in part))
            part = part[: max(1, bisect_right(ends, CHUNK_BYTES + 1))]
        yield len(part), sum(part) + len(part) - 1
        first += len(part)


class InMemoryItems:
    """Items held as one text (inline documents)."""

    def __init__(
        self,
        text: bytes,
        *,
        named: bool,
        digest: str | None = None,
        blocks: Iterable[tuple[int, int]] | None = None,
    ) -> None:
        """`blocks` as for `ItemText`, from whoever knows them already; else they are looked up."""
        if blocks is None:
            blocks = blocks_of(list(map(len, _raw_list(text))))
        self._text = ItemText(blocks, lambda start, stop: text[start:stop])
        self.named = named
        self.digest = digest or hashlib.sha256(text).hexdigest()

    def __len__(self) -> int:
        return len(self._text)

    def text(self, indices: Sequence[int]) -> bytes:
        return self._text.text(indices)

    def chunks(self) -> Iterator[ItemChunk]:
        return self._text.chunks()


class StoredItems:
    """Items read chunk by chunk from the store, holding a few chunks at a time (resume, large sources)."""

    #: Chunks kept decompressed; workers of one batch touch few regions at a time.
    _KEPT = 64

    def __init__(
        self,
        *,
        count: int,
        named: bool,
        digest: str,
        firsts: Sequence[int],
        load: Callable[[int], ItemChunk],
    ) -> None:
        """`firsts` holds each chunk's first index; `load(k)` reads and verifies chunk number k."""
        self._count, self.named, self.digest = count, named, digest
        self._firsts = firsts
        #: Reads and verifies chunk number k, or raises where the store is out of reach.
        self.read = load
        #: The same for who needs the chunk; whoever knows how to make it more patient may wrap it.
        self.load = load
        self._kept: OrderedDict[int, InMemoryItems] = OrderedDict()
        #: Guards `_kept`: the slots of a thread node read side by side.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""
        return len(self._firsts)

    def _chunk(self, number: int) -> InMemoryItems:
        with self._lock:
            return self._load_kept(number)

    def _load_kept(self, number: int) -> InMemoryItems:
        kept = self._kept.pop(number, None)
        if kept is None:
            kept = InMemoryItems(self.load(number).text, named=self.named, digest="-")
        self._kept[number] = kept
        while len(self._kept) > self._KEPT:
            self._kept.popitem(last=False)
        return kept

    def text(self, indices: Sequence[int]) -> bytes:
        parts: list[bytes] = []
        position = 0
        while position < len(indices):
            number = bisect_right(self._firsts, indices[position]) - 1
            first = self._firsts[number]
            chunk = self._chunk(number)
            end = first + len(chunk)
            if isinstance(indices, range) and indices.step == 1:
                stop = min(indices.stop, end)
                parts.append(chunk.text(range(indices[position] - first, stop - first))[1:-1])
                position += stop - indices[position]
            else:
                parts.append(
                    chunk.text(range(indices[position] - first, indices[position] - first + 1))[1:-1]
                )
                position += 1
        return b"[" + b",".join(parts) + b"]"

    def chunks(self) -> Iterator[ItemChunk]:
        for number in range(len(self._firsts)):
            yield self.load(number)
