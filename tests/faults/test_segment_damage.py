"""F24: a segment changed, cut off or moved is found, always; given up, it costs exactly its own items."""

import itertools
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.services.batches import created, zeros

from everyitem.adapters.stores import open_store
from everyitem.model.errors import ErrorCode, StoreDamaged
from everyitem.model.outcome import Failure, Successes
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.outcome import FailedItem

#: Segments of a batch, and items of a segment, the last of which fails.
SEGMENTS, SIZE = 8, 5

COLUMNS = (
    "sequence", "round", "created_at", "succeeded", "failed", "succeeded_ranges", "failed_items",
    "touched_items", "digest", "previous", "body",
)  # fmt: skip
BLOBS = COLUMNS[5:]


def two_batches(path: Path) -> bytes:
    """A closed store with two batches of the same shape, unfinished; the file's bytes."""
    store = open_store(str(path))
    for batch in ("a", "b"):
        _, ownership = created(store, zeros(SEGMENTS * SIZE + 3), batch)
        for number in range(SEGMENTS):
            first, bad = number * SIZE, number * SIZE + SIZE - 1
            results = b"[" + b",".join([b'"%d"' % number] * (SIZE - 1)) + b"]"
            failure = Failure(bad, 1, ErrorCode.ITEM_ERROR, "E", f"{batch}{number}", final=True)
            ownership.commit(
                Commit(
                    segments=[
                        SegmentDraft(
                            [Successes([(first, SIZE - 1)], 1, [7] * (SIZE - 1), results)], [failure]
                        )
                    ],
                    failed=[FailedItem(bad, str(bad), 1, "ITEM_ERROR", "E", "m", 0.0)],
                    counters=Counters(succeeded=(number + 1) * (SIZE - 1), failed=number + 1),
                )
            )
        ownership.release()
    store.close()
    return path.read_bytes()


class Patient:
    """The store, damaged again and again and made whole each time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "s.db"
        self._whole = two_batches(self.path)
        with closing(sqlite3.connect(self.path)) as database:
            query = f"SELECT execution_key, {', '.join(COLUMNS)} FROM segments"
            self.rows = {row[:2]: dict(zip(COLUMNS, row[1:], strict=True)) for row in database.execute(query)}

    def damage(self, key: int, sequence: int, **columns: object) -> bool:
        """Write these values into a segment's row; False when they are what stood there."""
        if all(self.rows[key, sequence][name] == value for name, value in columns.items()):
            return False
        for leftover in self.path.parent.iterdir():
            leftover.unlink()
        self.path.write_bytes(self._whole)
        with closing(sqlite3.connect(self.path)) as database:
            changes = ", ".join(f"{name} = ?" for name in columns)
            database.execute(
                f"UPDATE segments SET {changes} WHERE execution_key = ? AND sequence = ?",
                (*columns.values(), key, sequence),
            )
            database.commit()
        return True

    def examine(self, key: int, sequence: int) -> None:
        """The damage is found and named; given up, it costs the items of that segment and no other."""
        with closing(open_store(str(self.path))) as store:
            with pytest.raises(StoreDamaged, match=rf"segment {sequence}\b"):
                store.recorded(key)
            assert {fault.sequence for fault in store.verify(key)} >= {sequence}
            expected = bytearray(([1] * (SIZE - 1) + [2]) * SEGMENTS + [0, 0, 0])
            assert store.recorded(3 - key).ledger == expected
            expected[(sequence - 1) * SIZE : sequence * SIZE] = bytes(SIZE)
            assert store.recorded(key, accept_damage=True).ledger == expected
            assert store.recorded(key).ledger == expected
            assert store.verify(key) == []


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path)


def changed(value: bytes, step: int) -> Iterator[bytes]:
    """The value with each byte flipped, and every beginning of it."""
    for position in range(0, len(value), step):
        yield value[:position] + bytes([value[position] ^ 0xFF]) + value[position + 1 :]
        yield value[:position]


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
def test_every_byte_and_every_length_of_a_segment_is_proved(patient: Patient, step: int) -> None:
    """Each flipped byte and each truncation of each column is found; nothing else is lost with it."""
    for number, name in enumerate(BLOBS):
        key, sequence = 1 + number % 2, 1 + number % SEGMENTS
        for value in changed(patient.rows[key, sequence][name], step):
            assert patient.damage(key, sequence, **{name: value})
            patient.examine(key, sequence)


@pytest.mark.parametrize("splices", [40, pytest.param(1000, marks=pytest.mark.long)])
def test_parts_of_other_segments_are_never_taken_for_its_own(patient: Patient, splices: int) -> None:
    """Some columns, or all, come from another segment of this batch or of the other one."""
    chance = random.Random(24)
    places = list(itertools.product((1, 2), range(1, SEGMENTS + 1)))
    done = 0
    while done < splices:
        (key, sequence), source = chance.sample(places, 2)
        names = chance.sample(COLUMNS[1:], chance.randint(1, len(COLUMNS) - 1))
        if patient.damage(key, sequence, **{name: patient.rows[source][name] for name in names}):
            patient.examine(key, sequence)
            done += 1
