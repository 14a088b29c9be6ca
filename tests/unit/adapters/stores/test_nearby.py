"""A copy of large stored items beside the process: made once, never needed, never wrong."""

import threading
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from everyitem.adapters.stores import nearby
from everyitem.adapters.stores.nearby import NearbyCopy
from everyitem.model.errors import StoreDamaged, StoreError
from everyitem.model.items import InMemoryItems, ItemChunk, StoredItems

TEXTS = [b"[0,1]", b"[2,3]", b"[4,5]"]


def stored(load: Callable[[int], ItemChunk]) -> StoredItems:
    return StoredItems(count=6, named=False, digest="d", firsts=[0, 2, 4], load=load)


def chunk(number: int) -> ItemChunk:
    return ItemChunk(2 * number, 2, TEXTS[number])


def joined() -> None:
    for thread in threading.enumerate():
        if thread.name == "everyitem-copy":
            thread.join(60)
            assert not thread.is_alive()


def test_what_is_copied_is_not_asked_for_again() -> None:
    """The store may go away for good once the copy is there."""
    asked: list[int] = []

    def load(number: int) -> ItemChunk:
        asked.append(number)
        if len(asked) > 3:
            raise StoreError("away")
        return chunk(number)

    items = stored(load)
    with NearbyCopy(items):
        joined()
        assert [items.load(number) for number in (2, 0, 1)] == [chunk(2), chunk(0), chunk(1)]
    assert asked == [0, 1, 2]


def test_a_store_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy goes on where it was when the store is back."""
    monkeypatch.setattr(nearby, "_AGAIN", 0.001)
    refusals = iter([True, True, False, False])

    def load(number: int) -> ItemChunk:
        if number == 1 and next(refusals, False):
            raise StoreError("away")
        return chunk(number)

    items = stored(load)
    with NearbyCopy(items):
        joined()
    assert list(refusals) == [False]
    assert items.load(1) == chunk(1)


def test_the_end_of_a_run_ends_the_copy() -> None:
    """However long the store is away: nobody waits for a copy that is not needed any more."""
    asked = threading.Event()

    def load(number: int) -> ItemChunk:
        asked.set()
        raise StoreError("away")

    with NearbyCopy(stored(load)):
        assert asked.wait(60)
    assert not any(thread.name == "everyitem-copy" for thread in threading.enumerate())


def test_damage_is_told_to_who_needs_the_chunk_and_to_nobody_else() -> None:
    """What lies before it is copied; it and what follows is read from the store."""

    def load(number: int) -> ItemChunk:
        if number == 1:
            raise StoreDamaged("chunk 1")
        return chunk(number)

    items = stored(load)
    with NearbyCopy(items):
        joined()
        assert items.load(0) == chunk(0)
        with pytest.raises(StoreDamaged):
            items.load(1)
        assert items.load(2) == chunk(2)


def test_without_room_the_store_is_read_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full or read-only temporary folder costs the run nothing."""

    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nearby.tempfile, "TemporaryFile", full)
    items = stored(chunk)
    with NearbyCopy(items):
        joined()
        assert items.load(2) == chunk(2)


def test_a_copy_that_finds_no_more_room_gives_back_what_it_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others write to the same disk, a store perhaps, and need it more."""

    class Full(FileIO):
        def write(self, text: Any) -> int:
            return super().write(text[:2] if self.tell() else text)

    path = tmp_path / "copy"
    monkeypatch.setattr(nearby.tempfile, "TemporaryFile", lambda **_: Full(path, "w+"))
    items = stored(chunk)
    with NearbyCopy(items):
        joined()
        assert path.stat().st_size == 0
        assert [items.load(number) for number in range(3)] == [chunk(number) for number in range(3)]


def test_small_items_are_left_alone() -> None:
    """They are in memory; no thread is started for them."""
    items = InMemoryItems(b"[1]", named=False, digest="d")
    with NearbyCopy(items):
        assert not any(thread.name == "everyitem-copy" for thread in threading.enumerate())
