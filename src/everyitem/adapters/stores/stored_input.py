"""The items as accepted, read back: at once when they are few, chunk by chunk otherwise."""

from collections.abc import Callable, Mapping, Sequence

from everyitem.adapters.stores.input_chunks import corrected
from everyitem.model.errors import StoreDamaged
from everyitem.model.items import InMemoryItems, ItemChunk, Items, StoredItems, digest_of

#: Texts up to this many bytes are held in memory.
_SMALL = 16 << 20


def open_items(
    *,
    count: int,
    named: bool,
    digest: str,
    layout: Sequence[tuple[int, int, int]],
    load: Callable[[int], ItemChunk],
    corrections: Mapping[int, bytes],
) -> Items:
    """Items over stored chunks; `layout` is (first index, item count, text length) of each.

    Raises `StoreDamaged` when the chunks do not cover the items, or (small inputs) when one is damaged.
    """
    expected = 0
    for number, (first, length, _) in enumerate(layout):
        if first != expected:
            raise StoreDamaged(f"input chunk {number} begins at item {first} instead of {expected}")
        expected += length
    if expected != count:
        raise StoreDamaged(f"the stored input ends at item {expected}, the batch has {count}")

    def load_corrected(number: int) -> ItemChunk:
        return corrected(load(number), corrections)

    if sum(length for _, _, length in layout) <= _SMALL:
        inner = [load_corrected(number).text[1:-1] for number in range(len(layout))]
        # corrected payloads were accepted too: then the digest is that of the items as they are now
        digest_now = None if corrections else digest
        return InMemoryItems(b"[" + b",".join(inner) + b"]", named=named, digest=digest_now)
    items = StoredItems(
        count=count,
        named=named,
        digest=digest,
        firsts=[first for first, _, _ in layout],
        load=load_corrected,
    )
    if corrections:
        items.digest = digest_of(items)
    return items
