"""Items as bytes: any selection of them, in any order, without decoding."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everyitem.model.items import (
    BLOCK_ITEMS,
    CHUNK_BYTES,
    CHUNK_ITEMS,
    InMemoryItems,
    ItemText,
    StoredItems,
    blocks_of,
    item_id_of,
)

VALUES = [{"itemId": "a,b"}, [1, [2]], 'x]y\\"', 12.5, None, {}, "ü"]
TEXT = msgspec.json.encode(VALUES)


def stored(items, sizes):
    """The same items as the store would hand them out, in chunks of these sizes."""
    firsts, first = [], 0
    for size in sizes:
        firsts.append(first)
        first += size
    bounds = [*firsts, first]

    def load(number):
        from everyitem.model.items import ItemChunk

        start, stop = bounds[number], bounds[number + 1]
        return ItemChunk(start, stop - start, items.text(range(start, stop)))

    return StoredItems(count=first, named=items.named, digest=items.digest, firsts=firsts, load=load)


@pytest.fixture(params=["in memory", "stored"])
def items(request):
    """The same seven items, held in both ways."""
    in_memory = InMemoryItems(TEXT, named=True)
    return in_memory if request.param == "in memory" else stored(in_memory, [3, 1, 3])


@given(indices=st.lists(st.integers(0, len(VALUES) - 1)), in_chunks=st.booleans())
def test_any_items_come_in_the_order_asked(indices, in_chunks):
    """`text` gives exactly the items asked for, in that order, repeated where repeated."""
    items = InMemoryItems(TEXT, named=True)
    chosen = stored(items, [2, 2, 3]) if in_chunks else items
    assert json.loads(chosen.text(indices)) == [VALUES[index] for index in indices]


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 5), (3, 3), (6, 7), (0, 0)])
def test_a_range_is_a_slice(items, start, stop):
    """A contiguous range is cut out of the text."""
    assert json.loads(items.text(range(start, stop))) == VALUES[start:stop]


def test_chunks_hold_all_items_in_order(items):
    """Chunks are contiguous and complete; their texts make up the canonical text."""
    chunks = list(items.chunks())
    assert [chunk.first for chunk in chunks] == [
        sum(one.count for one in chunks[:k]) for k in range(len(chunks))
    ]
    assert b"[" + b",".join(chunk.text[1:-1] for chunk in chunks) + b"]" == TEXT


def test_the_digest_is_that_of_the_canonical_text(items):
    """SHA-256 of the compact array."""
    assert items.digest == hashlib.sha256(TEXT).hexdigest()


def test_chunks_are_bounded_in_items_and_bytes():
    """No chunk has more than its items; a chunk of several items stays within its bytes."""
    many = InMemoryItems(msgspec.json.encode(list(range(3 * CHUNK_ITEMS))), named=False)
    assert [chunk.count for chunk in many.chunks()] == [CHUNK_ITEMS] * 3
    large = InMemoryItems(msgspec.json.encode(["x" * (CHUNK_BYTES // 2 + 1)] * 4), named=False)
    assert [chunk.count for chunk in large.chunks()] == [1] * 4


def test_no_items_are_items():
    """An empty batch has no chunks and an empty text."""
    empty = InMemoryItems(b"[]", named=False)
    assert (len(empty), list(empty.chunks()), empty.text([])) == (0, [], b"[]")


@given(counts=st.lists(st.integers(1, 4), min_size=1), data=st.data())
def test_blocks_of_any_size_hold_the_same_items(counts, data):
    """Whoever knows blocks of the text gets the same items, wherever in or across them they are."""
    values = [[k] * (k % 5) for k in range(sum(counts))]
    texts = [msgspec.json.encode(value) for value in values]
    firsts = [sum(counts[:k]) for k in range(len(counts))]
    blocks = [
        (count, len(b",".join(texts[first : first + count])))
        for first, count in zip(firsts, counts, strict=True)
    ]
    items = InMemoryItems(msgspec.json.encode(values), named=False, blocks=blocks)
    assert len(items) == len(values)
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    assert json.loads(items.text(range(start, stop))) == values[start:stop]
    one = data.draw(st.integers(0, len(values) - 1))
    assert json.loads(items.text([one, 0])) == [values[one], values[0]]


def test_a_whole_block_is_read_without_a_look_into_it():
    """The places of single items are found when somebody asks for one: most are never asked for."""
    values = list(range(2 * BLOCK_ITEMS + 7))
    text = msgspec.json.encode(values)
    read = []
    items = ItemText(blocks_of([len(str(value)) for value in values]), read_from(text, read))
    assert (
        json.loads(items.text(range(BLOCK_ITEMS, 2 * BLOCK_ITEMS))) == values[BLOCK_ITEMS : 2 * BLOCK_ITEMS]
    )
    assert json.loads(items.text(range(2 * BLOCK_ITEMS, len(values)))) == values[2 * BLOCK_ITEMS :]
    assert len(read) == 2
    assert items.text(range(BLOCK_ITEMS + 1, BLOCK_ITEMS + 3)) == b"[257,258]"
    assert items.text([BLOCK_ITEMS + 7, BLOCK_ITEMS + 5]) == b"[263,261]"
    # a look into the block, the two neighbours in one go, and two single items
    assert len(read) == 2 + 1 + 1 + 2


def test_a_block_is_looked_into_when_single_items_are_asked_for_again():
    """Retries ask once for all that failed in a block; whoever comes again shall not read all of it again."""
    values = list(range(2 * BLOCK_ITEMS))
    read = []
    items = ItemText(
        blocks_of([len(str(value)) for value in values]), read_from(msgspec.json.encode(values), read)
    )
    assert items.text([7, 5, BLOCK_ITEMS]) == b"[7,5,256]"
    assert len(read) == 2, "each block once, whole"
    assert items.text([6]) == b"[6]"
    assert len(read) == 2 + 1 + 1, "the block, to note the places in it, and the item"
    assert items.text([8, 9]) == b"[8,9]"
    assert read[-2:] == [(1 + 2 * 8, 1 + 2 * 8 + 1), (1 + 2 * 9, 1 + 2 * 9 + 1)], "the items alone"


def test_one_large_item_is_read_without_hundreds_of_others():
    """A block of several items has the bytes of a chunk at most, or each of them would cost all."""
    lengths = [CHUNK_BYTES // 2 - 1, CHUNK_BYTES // 2, CHUNK_BYTES // 2 + 1, 1, 2 * CHUNK_BYTES, 1, 1]
    assert list(blocks_of(lengths)) == [
        (2, CHUNK_BYTES),
        (2, CHUNK_BYTES // 2 + 3),
        (1, 2 * CHUNK_BYTES),
        (2, 3),
    ]
    values = ["x" * (length - 2) if length > 1 else 7 for length in lengths]
    read = []
    items = ItemText(blocks_of(lengths), read_from(msgspec.json.encode(values), read))
    assert [json.loads(items.text([index])) for index in range(len(values))] == [[value] for value in values]
    assert max(stop - start for start, stop in read) == 2 * CHUNK_BYTES


def read_from(text, read):
    """Reads a text, and tells from where to where it was read."""

    def cut(start, stop):
        read.append((start, stop))
        return text[start:stop]

    return cut


@pytest.mark.parametrize(
    ("text", "item_id"),
    [
        (b'{"itemId":"x"}', "x"),
        (b'{"itemId":"\\u00fc"}', "ü"),
        (b'{"a":1}', "7"),
        (b"5", "7"),
        (b'"itemId"', "7"),
    ],
)
def test_an_item_is_named_by_itself_or_by_its_position(text, item_id):
    """Its own `itemId`, else its 0-based position as a string."""
    assert item_id_of(text, 7) == item_id
