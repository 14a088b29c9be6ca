"""F3, F22, F23: unsynced writes are lost, writes and syncs fail; what was acknowledged is there."""

import itertools
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.faults.rigs.disk import FULL, IOERR_FSYNC, IOERR_WRITE, OK, Disk, PowerCut, Verdict, lying_disk
from tests.services.batches import created, zeros

import everyitem
from everyitem import PermanentItemError, item_processor
from everyitem.adapters.stores import open_store
from everyitem.adapters.stores.relational import claims, ownership
from everyitem.adapters.stores.relational.ownership import TableOwnership
from everyitem.adapters.stores.sqlite import connection
from everyitem.engine import patience
from everyitem.model.errors import ErrorCode, UsageError
from everyitem.model.outcome import Failure, Successes
from everyitem.ports.checkpoint import Commit, Counters, SegmentDraft
from everyitem.ports.outcome import FailedItem
from everyitem.ports.store import Ownership, Store

ITEMS = 60

#: Items the processor was called for.
CALLS: list[int] = []


@item_processor("disk-fault")
def squared(item: Any, context: Any) -> Any:
    CALLS.append(item)
    if item == 13:
        raise PermanentItemError("unlucky")
    return result_of(item)


def result_of(item: int) -> dict[str, Any]:
    return {"square": item**2, "padding": random.Random(item).randbytes(900).hex()}


def run(folder: Path) -> everyitem.Response:
    """The batch, or what is left of it."""
    document = {
        "batchId": "b",
        "batchItems": list(range(ITEMS)),
        "processingConfiguration": {"processor": "disk-fault"},
        "allocatedResources": {"nodes": [{"nodeId": "n", "kind": "thread", "slots": 2}]},
        "executionPlan": {},
        "checkpointInterval": 10,
    }
    return everyitem.run(document, store=f"sqlite:///{folder}/s.db")


def check(response: everyitem.Response, folder: Path) -> None:
    """The response and results of an undisturbed run, in a store that finds nothing wrong with itself."""
    assert response.status == "SUCCESS"
    assert (response.items_processed, response.items_failed) == (ITEMS, 1)
    results = [(one.index, one.succeeded, one.result) for one in response.results()]
    assert results == [(n, n != 13, result_of(n) if n != 13 else None) for n in range(ITEMS)]
    with everyitem.open(f"sqlite:///{folder}/s.db") as session:
        assert session.verify("b").sound


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little waiting for a store to get well and a lease to end, and a log that is moved often."""
    monkeypatch.setenv("EVERYITEM_STORE_PATIENCE_SECONDS", "0.3")
    monkeypatch.setattr(patience, "FIRST", 0.02)
    monkeypatch.setattr(connection, "_WAL_LIMIT", 100_000)
    for module in (ownership, claims):
        monkeypatch.setattr(module, "LEASE", 0.5)


# -- what a power cut leaves ---------------------------------------------------------------------------------


def store_of(folder: Path) -> Store:
    return open_store(f"sqlite:///{folder}/s.db")


def begin(store: Store, disk: Disk) -> Ownership:
    """Accept a batch."""
    _, ownership = created(store, zeros(4000))
    disk.acknowledge(0)
    return ownership


def write(owned: Ownership, disk: Disk, start: int, count: int) -> int:
    """So many checkpoints of ten items each; returns the next free item."""
    for first in range(start, start + 10 * count, 10):
        results = b"[" + b",".join(b'"%s"' % random.Random(n).randbytes(300).hex().encode() for n in range(9))
        failure = Failure(first + 9, 1, ErrorCode.ITEM_ERROR, "E", "m", final=True)
        done = first // 10 + 1
        owned.commit(
            Commit(
                segments=[SegmentDraft([Successes([(first, 9)], 1, [1] * 9, results + b"]")], [failure])],
                failed=[FailedItem(first + 9, str(first + 9), 1, "ITEM_ERROR", "E", "m", 0.0)],
                counters=Counters(succeeded=9 * done, failed=done, checkpoints=done),
            )
        )
        disk.acknowledge(done)
    return start + 10 * count


def live(folder: Path, disk: Disk) -> None:
    """A store's life: accepted, written, given back, closed, opened, claimed, written, closed."""
    store = store_of(folder)
    owned = begin(store, disk)
    after = write(owned, disk, 0, 60)
    owned.release()
    store.close()
    store = store_of(folder)
    record = store.find("b")
    assert record is not None
    again = store.claim(record.execution_key)
    assert again is not None
    write(again, disk, after, 60)
    again.release()
    store.close()


def surviving(folder: Path) -> int | None:
    """How many checkpoints a store holds, proved; None when it holds no batch."""
    try:
        store = store_of(folder)
    except UsageError:
        return None
    try:
        record = store.find("b")
        if record is None:
            return None
        recorded = store.recorded(record.execution_key)
        assert store.verify(record.execution_key) == []
        return recorded.last_sequence
    finally:
        store.close()


@pytest.mark.parametrize("cuts", [100, pytest.param(2000, marks=pytest.mark.long)])
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, cuts: int) -> None:
    """Unsynced writes arrive, are lost or torn: the store opens, is sound, and holds what it had promised."""
    with lying_disk(Disk(tmp_path / "disk")) as disk:
        disk.folder.mkdir()
        live(disk.folder, disk)
    chance = random.Random(cuts)
    for number in range(cuts):
        folder = tmp_path / "cut"
        folder.mkdir()
        promised = PowerCut(disk.log, chance).at(chance.randrange(len(disk.log)), folder)
        held = surviving(folder)
        assert held is not None or not promised, f"cut {number}: the accepted batch is gone"
        assert not promised or max(promised) <= (held or 0) <= max(promised) + 1, f"cut {number}"
        shutil.rmtree(folder)


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("failures", [1, 7])
def test_nothing_is_acknowledged_on_a_disk_whose_sync_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int, step: int
) -> None:
    """After a failed sync the kernel forgets the pages; when the power goes later, nobody was told a lie."""
    chance = random.Random(step)
    for failing in itertools.count(1, step):
        folder, image = tmp_path / f"disk{failing}", tmp_path / f"cut{failing}"
        folder.mkdir()
        image.mkdir()
        with lying_disk(Disk(folder)) as disk, monkeypatch.context() as patched:
            disk.verdict = syncs_fail(range(failing, failing + failures))
            patched.setattr(TableOwnership, "commit", acknowledging(TableOwnership.commit, disk))
            responses = [run(folder)]
            while responses[-1].status != "SUCCESS":
                assert responses[-1].error_code == "SYSTEM_ERROR"
                responses.append(run(folder))
            disk.acknowledge("response")
        for moment in (len(disk.log), chance.randrange(len(disk.log))):
            for leftover in image.iterdir():
                leftover.unlink()
            promised = PowerCut(disk.log, chance).at(moment, image)
            held = surviving(image)
            if "response" in promised:
                assert calls_of(run, image) == 0, f"sync {failing}"
                check(run(image), image)
            elif promised:
                assert held is not None
                assert held >= max(promised), f"sync {failing}"
        if not disk.failed:
            break


def acknowledging(commit: Callable[..., int], disk: Disk) -> Callable[..., int]:
    """The commit, with a witness who hears what it answers."""

    def witnessed(owned: TableOwnership, what: Commit) -> int:
        last = commit(owned, what)
        disk.acknowledge(last)
        return last

    return witnessed


def calls_of(act: Callable[[Path], object], folder: Path) -> int:
    """How often the item processor is called meanwhile."""
    before = len(CALLS)
    act(folder)
    return len(CALLS) - before


def syncs_fail(numbers: range) -> Verdict:
    """These syncs, counted from 1."""
    syncs = itertools.count(1)

    def verdict(_name: str, length: int | None) -> int:
        return IOERR_FSYNC if length is None and next(syncs) in numbers else OK

    return verdict


# -- what a failing disk does to a run -----------------------------------------------------------------------


def nth_fails(failing: int, code: int, *, sticky: bool) -> Verdict:
    """The nth write or sync is refused, and with `sticky` every later one, too."""
    operations = itertools.count(1)

    def verdict(_name: str, length: int | None) -> int:
        number = next(operations)
        if number < failing or (number > failing and not sticky):
            return OK
        return IOERR_FSYNC if length is None and code != FULL else code

    return verdict


@pytest.mark.parametrize("step", [83, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize(("code", "halves"), [(FULL, False), (FULL, True), (IOERR_WRITE, True)])
def test_a_disk_that_refuses_costs_no_recorded_outcome(
    tmp_path: Path, code: int, halves: bool, sticky: bool, step: int
) -> None:
    """Whichever write or sync fails, the store is sound, and the next run ends as an undisturbed one."""
    refused = 0
    for failing in itertools.count(1, step):
        folder = tmp_path / str(failing)
        folder.mkdir()
        with lying_disk(Disk(folder, halves=halves)) as disk:
            disk.verdict = nth_fails(failing, code, sticky=sticky)
            response = run(folder)
        if response.status == "ERROR":
            refused += 1
            expected = {"RESOURCE_ERROR", "SYSTEM_ERROR"} if code == FULL else {"SYSTEM_ERROR"}
            assert response.error_code in expected
        check(run(folder), folder)
        shutil.rmtree(folder)
        if not disk.failed:
            assert response.status == "SUCCESS"
            break
    assert refused
