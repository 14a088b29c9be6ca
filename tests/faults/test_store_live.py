"""F25 and `verify`: what others do to a store while a batch runs, reading it or taking it away."""

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import everyitem
from everyitem import item_processor
from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.sqlite import connection
from everyitem.model.errors import StoreError, UsageError

ITEMS = 600

#: What is done to the store at an item, by the test that runs.
AT_ITEM: dict[int, Callable[[], object]] = {}


@item_processor("live-store")
def live(item: Any, context: Any) -> Any:
    AT_ITEM.get(item, lambda: None)()
    time.sleep(0.001)
    return item**2


@pytest.fixture
def url(tmp_path: Path) -> str:
    AT_ITEM.clear()
    return f"sqlite:///{tmp_path}/s.db"


def run(url: str) -> everyitem.Response:
    document = {
        "batchId": "b",
        "batchItems": list(range(ITEMS)),
        "processingConfiguration": {"processor": "live-store"},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "thread", "slots": 2}]},
        "executionPlan": {},
        "checkpointInterval": 10,
    }
    return everyitem.run(document, store=url)


def test_verify_finds_nothing_wrong_with_a_batch_that_runs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks one after the other while checkpoints and moves of the log go on: all sound, none in the way."""
    monkeypatch.setattr(connection, "_WAL_LIMIT", 200_000)
    found: list[Any] = []
    done, changed = threading.Event(), threading.Event()

    def look() -> None:
        while not done.is_set():
            with everyitem.open(url) as session:
                found.append((session.verify("b"), session.status("b").succeeded))
            if found[0][1] != found[-1][1]:
                changed.set()

    watcher = threading.Thread(target=look)
    AT_ITEM[20] = watcher.start
    # something must be recorded while somebody looks
    AT_ITEM[ITEMS - 20] = lambda: changed.wait(60)
    response = run(url)
    done.set()
    watcher.join()
    assert response.status == "SUCCESS"
    assert all(verification.sound for verification, _ in found)
    assert changed.is_set()


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_store_taken_away_ends_the_run(url: str, tmp_path: Path, suffix: str, replaced: bool) -> None:
    """Its file or its log is deleted or replaced: the run says so and ends."""
    file = tmp_path / f"s.db{suffix}"

    def take_away() -> None:
        copy = shutil.copy(file, tmp_path / "copy")
        file.unlink()
        if replaced:
            Path(copy).rename(file)

    AT_ITEM[100] = take_away
    response = run(url)
    assert response.status == "ERROR"
    assert response.error_code == "SYSTEM_ERROR"
    assert "removed or replaced" in str(response.details)


def test_a_copy_made_meanwhile_is_right_or_refused(url: str, tmp_path: Path) -> None:
    """Files copied one after the other may not fit together: what opens tells nothing that did not happen."""
    copies = [tmp_path / f"copy{number}" for number in range(0, ITEMS, 40)]

    def copier(folder: Path) -> Callable[[], None]:
        def copy() -> None:
            folder.mkdir()
            for name in ("s.db", "s.db-wal"):
                shutil.copy(tmp_path / name, folder / name)

        return copy

    AT_ITEM.update({number * 40 + 7: copier(folder) for number, folder in enumerate(copies)})
    assert run(url).status == "SUCCESS"
    opened = 0
    for folder in copies:
        try:
            store = open_store(f"sqlite:///{folder}/s.db")
        except (StoreError, UsageError):
            continue
        record = store.find("b")
        if record is not None:
            opened += 1
            for outcome in store.outcomes(record.execution_key):
                assert outcome.result == str(outcome.index**2).encode()
            assert store.verify(record.execution_key) == []
        store.close()
    assert opened
