"""Taking in the items: checked once, kept as canonical text, never seen by pydantic.

Items come as the text of an array, as Python values, or in chunks from a source. Each way ends in
`_admit`, which looks at ids, sizes, depth and number range; the costly naming of culprits happens only
for a chunk that failed its cheap check.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any

import msgspec

from everyitem.faces.documents.document_text import READING_ERRORS
from everyitem.faces.documents.items_spool import SPOOL_BYTES, ItemsSpool
from everyitem.faces.documents.problems import Problems
from everyitem.faces.documents.strict_json import (
    find_faults,
    find_too_deep,
    is_too_deep,
    may_hold_huge_number,
    parse_leniently,
)
from everyitem.model.errors import ErrorCode
from everyitem.model.items import BLOCK_ITEMS, CHUNK_ITEMS, InMemoryItems, Items, blocks_of
from everyitem.ports.source import ItemSource
from everyitem.settings import Settings
from everyitem.work.results import is_strict

#: Problems named within one item before the rest of it is left alone.
_FAULTS_PER_ITEM = 1000

_raws_of = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode_lines = msgspec.json.Encoder().encode_lines


class ItemsIntake:
    """Collects the items of one document and what is wrong with them."""

    def __init__(self, settings: Settings, problems: Problems, *, max_batch_size: int | None = None) -> None:
        """`max_batch_size` is the document's own limit; it can only lower the operator's."""
        self._settings = settings
        self._ceiling = min(max_batch_size or settings.max_batch_size, settings.max_batch_size)
        self._problems = problems
        #: Sound chunks; where the whole text is at hand it needs no putting together.
        self._spool = ItemsSpool(most=math.inf)
        self._whole: bytes | None = None
        self._blocks: list[tuple[int, int]] = []
        #: Index, path and message of each fault of an item.
        self._faults: list[tuple[int, str, str]] = []
        self._count = 0
        self._countable = True
        #: Own ids by item, filled from the first item that has one.
        self._ids: list[str | None] = []
        self._named = False
        #: Shorter items can neither nest too deep nor hold a number out of range that decodes.
        self._suspicious = min(2 * settings.max_depth, 309)
        self._path: Callable[[int], str] = "$.batchItems[{}]".format
        self._id_step = ".itemId"

    def read_text(self, value: msgspec.Raw) -> None:
        """Items as the text of a JSON array, as it stands in the document."""
        if bytes(memoryview(value)[:1]) != b"[":
            self.refuse("$.batchItems", "must be an array")
            return
        try:
            text = msgspec.json.format(memoryview(value), indent=-1)
            lengths = list(map(len, _raws_of(text)))
        except RecursionError:
            self._refuse_too_deep(bytes(value).decode("utf-8", "replace"))
            return
        if not self._fits(len(lengths)):
            return
        self._whole, self._blocks = text, list(blocks_of(lengths))
        starts = list(accumulate([length + 1 for length in lengths], initial=1))
        for first, last in _chunk_bounds(len(lengths)):
            self._read_chunk(memoryview(text)[starts[first] - 1 : starts[last]], lengths[first:last])

    def read_values(self, values: Any) -> None:
        """Items as Python values; refused where they are not strictly JSON."""
        if not isinstance(values, list):
            self.refuse("$.batchItems", f"must be an array, not {_json_type(values)}")
            return
        if not self._fits(len(values)):
            return
        for first, last in _chunk_bounds(len(values)):
            chunk = values[first:last]
            try:
                # a line each: a line feed stands in no JSON text, so that shows where items end
                blocks = [
                    _encode_lines(chunk[at : at + BLOCK_ITEMS])[:-1]
                    for at in range(0, len(chunk), BLOCK_ITEMS)
                ]
                text = b"[" + b"\n".join(blocks).replace(b"\n", b",") + b"]"
                # msgspec writes NaN as null, sets as lists; where types say nothing (a dict of an unusual
                # class), only what comes back equal is JSON
                sound = is_strict(chunk, text) or bool(_decode(text) == chunk)
            except (*READING_ERRORS, TypeError):
                sound = False
            if not sound:
                self._name_culprits(chunk)
                continue
            if any(_has_long_line(block, self._suspicious) for block in blocks):
                lengths = [len(line) for block in blocks for line in block.split(b"\n")]
                self._admit(text, chunk, lengths)
                self._spool.add(text, blocks_of(lengths))
            else:
                self._admit(text, chunk, None)
                counts = [min(BLOCK_ITEMS, len(chunk) - at) for at in range(0, len(chunk), BLOCK_ITEMS)]
                self._spool.add(text, zip(counts, map(len, blocks), strict=True))

    def read_source(self, source: ItemSource) -> None:
        """Items of a source; positions read `items.jsonl:17`. Raises `SourceUnavailable`."""
        lines = array("Q")
        self._spool = ItemsSpool(most=SPOOL_BYTES)
        self._path = lambda index: f"{source.name}:{lines[index]}"
        self._id_step = ""
        own_limit = self._settings.max_source_items
        ceiling, name = (
            (self._ceiling, "maxBatchSize") if own_limit is None else (own_limit, "maxSourceItems")
        )
        for chunk in source.chunks():
            for fault in chunk.faults:
                self.refuse(f"{source.name}:{fault.line}", fault.message, ErrorCode.ITEM_ERROR)
            lines.extend(chunk.lines)
            if len(lines) > ceiling:
                self.refuse(source.name, f"more than {ceiling:,} items; that is the limit ({name})")
                return
            self._read_lines(chunk.texts)

    def refuse(
        self,
        path: str,
        message: str,
        code: ErrorCode = ErrorCode.EXECUTION_ERROR,
        *,
        may_pass: bool = False,
    ) -> None:
        """Something after which nobody knows how many items there are."""
        self._countable = False
        self._problems.add(path, message, code, may_pass=may_pass)

    @property
    def count(self) -> int | None:
        """How many items there are, sound or not; None where that could not be told."""
        return self._count if self._countable else None

    def finish(self) -> Items:
        """Check the ids against one another and hand over the items."""
        if self._named:
            self._check_ids()
        # in item order, whichever look found them
        for _, path, message in sorted(self._faults, key=lambda fault: fault[0]):
            self._problems.add(path, message, ErrorCode.ITEM_ERROR)
        if self._whole is None:
            return self._spool.finish(named=self._named)
        text, self._whole = self._whole, None
        return InMemoryItems(text, named=self._named, blocks=self._blocks)

    def _refuse_too_deep(self, text: str) -> None:
        """Items nested so deep that nobody can count them."""
        limit = self._settings.max_depth
        path = find_too_deep(text, "$.batchItems", max_depth=limit + 1) or "$.batchItems"
        self.refuse(path, f"nested deeper than {limit} levels (maxDepth)", ErrorCode.ITEM_ERROR)

    def _fits(self, count: int) -> bool:
        if count > self._ceiling:
            self.refuse("$.batchItems", f"{count:,} items; the limit is {self._ceiling:,} (maxBatchSize)")
        return count <= self._ceiling

    def _read_lines(self, texts: list[bytes]) -> None:
        """Lines that should hold one JSON value each; joined only if that cannot merge or part them."""
        try:
            if max(map(len, texts), default=0) > self._settings.max_item_bytes:
                raise ValueError  # not decoded: see read_text
            joined = b"[" + b",".join(texts) + b"]"
            if list(map(len, _raws_of(joined))) != list(map(len, texts)):
                raise ValueError
            compact = msgspec.json.format(joined, indent=-1)
            lengths = list(map(len, _raws_of(compact)))
            decoded = _decode(compact)
        except READING_ERRORS:
            self._name_culprits(texts, is_text=True)
        else:
            self._admit(compact, decoded, lengths)
            self._spool.add(compact, blocks_of(lengths))

    def _read_chunk(self, part: memoryview, lengths: list[int]) -> None:
        """Items of a chunk, each followed by one more byte, after the byte before the first."""
        if max(lengths) > self._settings.max_item_bytes:
            # looked at before decoding: a huge item of many small values takes many times its size
            self._name_culprits(list(_cut(part, lengths)), is_text=True)
            return
        text = b"[" + part[1:-1] + b"]"
        try:
            decoded = _decode(text)
        except READING_ERRORS:
            self._name_culprits(list(_cut(part, lengths)), is_text=True)
        else:
            self._admit(text, decoded, lengths)

    def _admit(self, text: bytes, values: list[Any], lengths: list[int] | None) -> None:
        """Count a chunk that is strictly JSON, after a look at ids and at long items.

        `lengths` are those of its items, None where none is long.
        """
        first = self._count
        self._count += len(values)
        if _may_have_ids(text):
            self._take_ids(first, values)
        if lengths and max(lengths) > self._suspicious:
            for index, item in enumerate(_cut(memoryview(text), lengths), start=first):
                if len(item) > self._suspicious:
                    self._examine(index, bytes(item))

    def _examine(self, index: int, text: bytes) -> None:
        """Size, depth and number range of one long item."""
        limits = self._settings
        if len(text) > limits.max_item_bytes:
            self._add_too_long(index, len(text))
            return
        if is_too_deep(text, limits.max_depth):
            self._add_too_deep(index, text)
        elif may_hold_huge_number(text):
            self._name_faults(index, parse_leniently(text.decode()))

    def _add_too_long(self, index: int, length: int) -> None:
        limit = f"{self._settings.max_item_bytes:,} (maxItemBytes)"
        self._add(index, "", f"the item is {length:,} bytes long; the limit is {limit}")

    def _add_too_deep(self, index: int, text: bytes) -> None:
        limit = self._settings.max_depth
        step = find_too_deep(text.decode(), "", max_depth=limit) or ""
        self._add(index, step, f"nested deeper than {limit} levels (maxDepth)")

    def _take_ids(self, first: int, values: list[Any]) -> None:
        own = [item.get("itemId", _UNNAMED) if isinstance(item, dict) else _UNNAMED for item in values]
        if all(one is _UNNAMED for one in own):
            return
        self._named = True
        self._ids.extend([None] * (first - len(self._ids)))
        self._ids.extend(self._usable_id(index, one) for index, one in enumerate(own, start=first))

    def _usable_id(self, index: int, item_id: object) -> str | None:
        """The id an item carries; None without one or after a problem was added."""
        if item_id is _UNNAMED:
            return None
        if not isinstance(item_id, str):
            self._add(index, self._id_step, f"itemId must be a string, not {_json_type(item_id)}")
        elif not item_id:
            self._add(index, self._id_step, "itemId must not be empty")
        elif "\x00" in item_id:
            self._add(index, self._id_step, "itemId must not contain the character U+0000")
        else:
            return item_id
        return None

    def _check_ids(self) -> None:
        """Every id once: own ids among each other and against the positions of items without one."""
        self._ids.extend([None] * (self._count - len(self._ids)))
        own = [one for one in self._ids if one is not None]
        if len(own) == self._count and len(set(own)) == self._count:
            return
        first_with: dict[str, int] = {}
        for index, one in enumerate(self._ids):
            if one is None:
                continue
            if (earlier := first_with.setdefault(one, index)) != index:
                self._add(index, self._id_step, f"itemId {one!r} is already the id of item {earlier}")
            elif (
                (other := _as_position(one)) is not None
                and other != index
                and (other < self._count and self._ids[other] is None)
            ):
                self._add(
                    index,
                    self._id_step,
                    f"itemId {one!r} is the position id of item {other}, which has no own",
                )

    def _name_culprits(self, items: Sequence[Any], *, is_text: bool = False) -> None:
        """The slow way through a chunk in which something is wrong: item by item, everything named."""
        first = self._count
        self._count += len(items)
        values = [self._parse(first + k, one) for k, one in enumerate(items)] if is_text else list(items)
        for index, value in enumerate(values, start=first):
            self._name_faults(index, value)
        self._take_ids(first, values)

    def _parse(self, index: int, raw: bytes | memoryview) -> Any:
        """One item's text as a value; None after a problem was added."""
        if len(raw) > self._settings.max_item_bytes:
            self._add_too_long(index, len(raw))
            return None
        text = bytes(raw)
        try:
            return parse_leniently(text.decode("utf-8"))
        except UnicodeDecodeError as error:
            reason = f"not UTF-8: byte 0x{text[error.start]:02x} at byte {error.start} of the item"
        except RecursionError:
            self._add_too_deep(index, text)
            return None
        except ValueError as error:
            message, at = getattr(error, "msg", str(error)), getattr(error, "pos", 0)
            reason = f"not valid JSON: {message.removesuffix(' at')} at character {at + 1}"
        self._add(index, "", reason)
        return None

    def _name_faults(self, index: int, value: Any) -> None:
        faults = find_faults(value, "", max_depth=self._settings.max_depth)
        for path, message in islice(faults, _FAULTS_PER_ITEM):
            self._add(index, path, message)

    def _add(self, index: int, step: str, message: str) -> None:
        path = self._path(index)
        # a file position is a place of its own; the path within the item follows it
        joint = " $" if step and not path.startswith("$") else ""
        self._faults.append((index, f"{path}{joint}{step}", message))


_UNNAMED = object()


def _may_have_ids(text: bytes) -> bool:
    """Whether `itemId` may be a key in it. A single byte is looked for thirty times as fast as a word."""
    # an escaped key is a key too
    return (b"I" in text and b"itemId" in text) or (b"\\" in text and b"\\u" in text)


def _has_long_line(lines: bytes, most: int) -> bool:
    """Whether a line has more than `most` bytes: leaps from the last line feed within reach to the next."""
    start, find, reach = 0, lines.rfind, most + 1
    while len(lines) - start > most:
        start = find(b"\n", start, start + reach) + 1
        if not start:
            return True
    return False


def _cut(part: memoryview, lengths: list[int]) -> Iterator[memoryview]:
    """The single items of a chunk's text."""
    starts = accumulate([length + 1 for length in lengths], initial=1)
    return (part[start : start + length] for start, length in zip(starts, lengths, strict=False))


def _chunk_bounds(count: int) -> Iterator[tuple[int, int]]:
    """First index and end of each chunk."""
    return ((first, min(first + CHUNK_ITEMS, count)) for first in range(0, count, CHUNK_ITEMS))


def _as_position(item_id: str) -> int | None:
    """The position whose id this text is, if any: "7", not "07"."""
    if item_id.isascii() and item_id.isdigit() and len(item_id) < 12 and str(int(item_id)) == item_id:
        return int(item_id)
    return None


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "an array"
        case dict():
            return "an object"
    return type(value).__name__
