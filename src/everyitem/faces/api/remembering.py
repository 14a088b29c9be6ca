"""Items of a platform that were accepted before: they come from the store, whatever has become of them since.

Entities that a batch was made of change, most of all by what the batch does to them. Asked for again they
would be other items, and the batch another one.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from everyitem.model.items import Items
from everyitem.ports.execution import ExecutionRecord
from everyitem.ports.source import ItemSource, SourceChunk, SourceOpener, SourceSpec
from everyitem.ports.store import Store

#: Kinds of sources whose items are read once in the life of a batch.
_READ_ONCE: Final = ("cyoda-search", "cyoda-entities")


class _Accepted:
    """The items of an execution as a source."""

    def __init__(self, name: str, items: Items) -> None:
        self.name, self._items = name, items

    def chunks(self) -> Iterator[SourceChunk]:
        read = 0
        for chunk in self._items.chunks():
            texts = [bytes(one) for one in msgspec.json.decode(chunk.text, type=list[msgspec.Raw])]
            yield SourceChunk(texts, list(range(read + 1, read + 1 + len(texts))))
            read += len(texts)


def remembering(store: Store, record: ExecutionRecord | None, open_source: SourceOpener) -> SourceOpener:
    """Opens sources, but for the one `record` was accepted from: its items are those that were."""

    def open_or_remember(spec: SourceSpec) -> ItemSource:
        if record is None or record.pruned_at is not None or not _is_of(record, spec):
            return open_source(spec)
        return _Accepted(spec.reference or spec.kind, store.items(record.execution_key, round_=1))

    return open_or_remember


def _is_of(record: ExecutionRecord, spec: SourceSpec) -> bool:
    """Whether the execution's items came from this very source."""
    if spec.kind not in _READ_ONCE or record.source is None:
        return False
    asked: dict[str, Any] = {"kind": spec.kind, "reference": spec.reference, **spec.options}
    return bool(msgspec.json.decode(record.source) == asked)
