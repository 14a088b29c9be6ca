"""Events as messages, whoever carries them."""

import pytest

from everyitem.adapters.publishers.messages import batch_of
from everyitem.ports.outbox import OutboxEvent


@pytest.mark.parametrize(
    ("subject", "data", "batch"),
    [
        ("b", b'{"batchId":"b","sequence":1}', "b"),
        ("b/item/3", b'{"batchId":"b","itemId":"item/3"}', "b"),
        ("b/1", b'{"status":"SUCCESS"}', "b/1"),
        ("b", b"[]", "b"),
    ],
)
def test_every_event_tells_its_batch(subject: str, data: bytes, batch: str) -> None:
    """By it Kafka keeps those of a batch in order, those about single items too."""
    assert batch_of(OutboxEvent("e", "T", subject, 0.0, data, 1)) == batch
