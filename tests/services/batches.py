"""Batches in a store, for tests to which it does not matter what is in them."""

from everyitem.model.items import InMemoryItems
from everyitem.ports.execution import ExecutionRecord, NewExecution
from everyitem.ports.store import Ownership, Store


def zeros(count: int) -> InMemoryItems:
    """So many items, each of them 0."""
    return InMemoryItems(b"[" + b",".join([b"0"] * count) + b"]", named=False)


def new_execution(items: InMemoryItems, batch_id: str = "b", *, envelope: bytes = b"{}") -> NewExecution:
    """The first execution of a batch of these items."""
    return NewExecution(
        batch_id=batch_id,
        execution=1,
        content="c",
        items_digest=items.digest,
        item_count=len(items),
        named=False,
        processor="p",
        processor_code="x",
        envelope=envelope,
    )


def created(
    store: Store, items: InMemoryItems, batch_id: str = "b", *, envelope: bytes = b"{}"
) -> tuple[ExecutionRecord, Ownership]:
    """The batch accepted and owned."""
    made = store.create(new_execution(items, batch_id, envelope=envelope), items)
    assert made is not None
    return made
