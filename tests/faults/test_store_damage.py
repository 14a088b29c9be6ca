"""F24: single bytes of the store change; a resume is right or refused, never wrong and never a crash."""

import random
from pathlib import Path

import msgspec
import pytest
from tests.services.batches import created

from everyitem.adapters.stores import open_store
from everyitem.model.errors import ErrorCode, StoreError, UsageError
from everyitem.model.items import InMemoryItems
from everyitem.model.outcome import Failure, Successes
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.outbox import OutboxEvent
from everyitem.ports.outcome import FailedItem

ITEMS = 3000


def sound_store(path: Path) -> bytes:
    """A closed store with a batch half done; the file's bytes."""
    store = open_store(str(path))
    items = InMemoryItems(msgspec.json.encode([{"n": index} for index in range(ITEMS)]), named=False)
    _, ownership = created(store, items, envelope=b'{"batchId":"b"}')
    for first in range(0, 2000, 100):
        results = msgspec.json.encode([{"value": index} for index in range(99)])
        failure = Failure(first + 99, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
        done = first // 100 + 1
        ownership.commit(
            Commit(
                segments=[SegmentDraft([Successes([(first, 99)], 1, [7] * 99, results)], [failure])],
                failed=[FailedItem(first + 99, str(first + 99), 1, "ITEM_ERROR", "E", "m", 0.0)],
                counters=Counters(succeeded=99 * done, failed=done),
                events=[OutboxEvent(f"c{done}", "CheckpointCreated", "b", 1.0, b"{}")],
            )
        )
    store.open_round(ownership, [99, 199], {99: b'{"n":-1}'})
    ownership.release()
    store.close()
    return path.read_bytes()


def reading(path: Path) -> tuple[bytes, bytes, list[int]]:
    """What a resume would start from: ledger, items, and the indices of all outcomes."""
    store = open_store(str(path))
    try:
        record = store.find("b")
        if record is None:
            raise StoreError("the batch cannot be found")
        key = record.execution_key
        ledger = bytes(store.recorded(key).ledger)
        items = store.items(key).text(range(ITEMS))
        outcomes = [outcome.index for outcome in store.outcomes(key)]
        store.verify(key)
        return ledger, items, outcomes
    finally:
        store.close()


def attempt(path: Path) -> tuple[bytes, bytes, list[int]] | None:
    """What a resume would start from; None when the store refuses."""
    try:
        return reading(path)
    except (StoreError, UsageError):
        return None


@pytest.mark.parametrize(
    "flips", [120, pytest.param(5000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_a_changed_byte_never_makes_a_wrong_resume(tmp_path: Path, flips: int) -> None:
    """Bytes anywhere in the file, one at a time: the same answer as before, or a clear error."""
    path = tmp_path / "s.db"
    whole = sound_store(path)
    truth = reading(path)
    chance = random.Random(24)
    refused = 0
    for _ in range(flips):
        position, mask = chance.randrange(len(whole)), 1 << chance.randrange(8)
        damaged = bytearray(whole)
        damaged[position] ^= mask
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        path.write_bytes(damaged)
        answer = attempt(path)
        refused += answer is None
        assert answer in (None, truth), f"byte {position} ^ {mask}"
    assert refused > 0


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """A store cut off anywhere is never taken for a shorter one."""
    path = tmp_path / "s.db"
    whole = sound_store(path)
    for length in range(len(whole) // 20, len(whole), len(whole) // 20):
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        path.write_bytes(whole[:length])
        assert attempt(path) is None, f"{length} of {len(whole)} bytes"
